"""Opens the backups of a data folder as the settings have them, in the command and in its workers."""

from audobon.backup.places import Places
from audobon.backup.rules import KeepRules
from audobon.backup.service import Backups
from audobon.backup.sources import Sources
from audobon.backup.standing import Limits
from audobon.settings import BackupSettings
from audobon.telemetry.logs import Log


def open_backups(sources: Sources, settings: BackupSettings, log: Log) -> Backups:
    """Return the backups of a data folder; nothing is read or written before they are used."""
    return Backups(
        sources,
        Places(sources.folder, settings.places),
        log,
        limits=Limits(settings.max_hours, settings.max_drill_hours),
        rules=keep_rules(settings),
    )


def keep_rules(settings: BackupSettings) -> KeepRules:
    """Return what pruning leaves, as configured."""
    return KeepRules(
        last=settings.keep_last,
        daily=settings.keep_daily,
        weekly=settings.keep_weekly,
        monthly=settings.keep_monthly,
        days=settings.keep_days,
    )
