"""Notes in the log what scrubbing found."""

from audobon.storage.scrub_report import Scrubbed
from audobon.telemetry.logs import Log


def note(log: Log, found: Scrubbed) -> None:
    """Write one event: what was read, what was amiss, and what of it could not be mended."""
    log.write(
        "storage",
        "storage scrubbed",
        level="error" if found.unmended else "warning" if found.faults else "info",
        packs=found.packs,
        read_bytes=found.read_bytes,
        faults=len(found.faults),
        unmended=[damage.pack for damage in found.unmended],
        is_dry=found.is_dry,
    )
