"""`audobon backup restore` and `audobon backup drill`."""

import shlex
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.backup_words import RunningLine, amount_of, print_failures, warn_of_words
from audobon.cli.locations import LOCATION
from audobon.cli.terminal import print_json, say

if TYPE_CHECKING:
    from audobon.app import App
    from audobon.backup.locations import Location
    from audobon.backup.repository import Repository
    from audobon.backup.restoring import Point, Restored, Restorer
    from audobon.backup.sources import Tell

_path = click.Path(path_type=Path)


@click.command(short_help="Bring back everything, a job, or a file.")
@click.argument("backup_id", metavar="[ID]", default="latest")
@click.option("--place", type=LOCATION, help="Take it from this place.  [default: where the newest is]")
@click.option("--at", metavar="TIME", help="As it was at an instant, such as 2026-01-31T18:00.")
@click.option("--into", type=_path, help="Restore into this folder, which must be new or empty.")
@click.option("--in-place", "in_place", is_flag=True, help="Replace the data folder; it is kept beside.")
@click.option("--job", "job_id", metavar="ID", help="Only what belongs to this job.")
@click.option("--file", "name", metavar="NAME|KEY", help="Only this file, the newest of its name.")
@click.option("--from", "source", type=LOCATION, help="On a fresh machine: the place to restore from.")
@click.option("--recovery-words-file", "words_file", type=_path, help="With --from; else they are asked.")
@click.option("--as-far-as-possible", "is_lenient", is_flag=True, help="All that is whole; status 10.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be restored.")
@click.option("--json", "as_json", is_flag=True, help="Print what was restored as JSON.")
def restore(
    backup_id: str,
    *,
    place: "Location | None",
    at: str | None,
    into: Path | None,
    in_place: bool,
    job_id: str | None,
    name: str | None,
    source: "Location | None",
    words_file: Path | None,
    is_lenient: bool,
    is_dry: bool,
    as_json: bool,
) -> None:
    """Bring back a backup: the newest, or the one of ID; everything, or a job's or one file.

    \b
      audobon backup restore --into ~/restored
      audobon backup restore --in-place
      audobon backup restore --file wren/page-1.png --into ~/found
      audobon backup restore --from /media/disk/audobon --in-place

    An instant is of this place, or with Z or +02:00. Whoever was erased stays erased, whatever the backup
    holds. Settings are restored as a proposal only.
    """
    from audobon.app import open_app
    from audobon.backup.restoring import choose_point
    from audobon.errors import InvalidInput, PartlyFailed

    if (into is None) == (not in_place):
        raise InvalidInput("say where: --into FOLDER, or --in-place")
    if in_place and (job_id or name):
        raise InvalidInput("only everything is restored in place", hint="--into")
    if source is not None and place is not None:
        raise InvalidInput("--from and --place are two answers to one question", hint="leave out --place")
    if words_file is not None and source is None:
        raise InvalidInput("the recovery words go with --from")
    from audobon.app import keyring_protectors

    app = open_app()
    with RunningLine() as line, ExitStack() as stack:
        if source is not None:
            repository, restorer = _of_fresh_machine(
                app, source, words_file, line.tell, is_lenient=is_lenient
            )
            stack.enter_context(repository.using())
        else:
            repository, restorer = _of_this_machine(
                app, place, backup_id, line.tell, stack, is_lenient=is_lenient
            )
        point = choose_point(repository, backup_id, at)
        if is_dry:
            _tell_plan(repository, point, as_json=as_json)
            return
        if job_id is not None or name is not None:
            if source is not None:
                raise InvalidInput("restore everything first, then its files", hint="leave out --job, --file")
            assert into is not None
            _restore_files(app, repository, restorer, point, job_id, name, into, as_json=as_json)
            return
        if in_place:
            restored = _replace(app, restorer, point)
        else:
            assert into is not None
            restored = restorer.restore(point, into.absolute())
        _settle(app, app.folder if into is None else into.absolute())
    _tell_restored(restored, in_place=in_place, is_fresh=source is not None, as_json=as_json)
    if source is not None:
        from audobon.keys.service import Keys

        with closing(Keys(Path(restored.into), keyring_protectors(app.settings))) as keys:
            say(
                f"its keyring is protected here by {keys.status().protector}: audobon keys protect changes it"
            )
    if restored.lacking:
        raise PartlyFailed(f"packs and files that could not be restored: {len(restored.lacking)}")


@click.command(short_help="Restore for trial, and prove what came back.")
@click.argument("place", required=False, type=LOCATION)
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def drill(place: "Location | None", *, as_json: bool) -> None:
    """Restore from every place, or from PLACE, by the recovery words alone, and prove what came back.

    Tells how much would be lost (RPO) and how long a restore takes (RTO). Ends with status 9 when anything
    could not be proved. Needs as much room beside the data folder as the data takes.
    """
    from audobon.app import open_app
    from audobon.cli.durations import span
    from audobon.cli.queue_words import columns
    from audobon.errors import CorruptBackup

    backups = open_app().backups()
    with RunningLine() as line:
        reports = backups.drill(place=place, tell=line.tell)
    if as_json:
        print_json({"drills": reports, "failures": backups.failures})
    for report in reports:
        say(f"{report.place}: backup {report.backup}")
        rows = [
            (step.name, "well" if step.is_well else "FAILED", f"{step.seconds:.1f} s", step.told)
            for step in report.steps
        ]
        if not as_json:
            click.echo("\n".join(columns(("step", "result", "took", "found"), rows, right=("took",))))
        lost = "unknown" if report.rpo_seconds is None else span(report.rpo_seconds)
        took = "unknown" if report.rto_seconds is None else span(report.rto_seconds)
        say(f"lost if everything here went now (RPO): {lost}; a restore takes (RTO): {took}")
    print_failures(backups)
    warn_of_words(backups)
    failed = [report.place for report in reports if not all(step.is_well for step in report.steps)]
    if failed:
        raise CorruptBackup(f"the drill failed for {', '.join(failed)}", hint="audobon backup verify")
    backups.raise_failures()


def _replace(app: "App", restorer: "Restorer", point: "Point") -> "Restored":
    """Put what is restored in the place of the data folder, while no engine runs there."""
    import shutil

    import msgspec

    from audobon.compute.engine import engine_lock

    was_empty = not app.folder.exists() or not any(app.folder.iterdir())
    with engine_lock(app.folder):
        app.storage.close()
        app.keys.close()
        restored = restorer.replace(point, app.folder)
    if was_empty and restored.kept_aside is not None:
        # It holds the lock of a moment ago, and nothing of the user's.
        shutil.rmtree(restored.kept_aside, ignore_errors=True)
        return msgspec.structs.replace(restored, kept_aside=None)
    return restored


def _settle(app: "App", folder: Path) -> None:
    """Remove the rows and packs of whoever is erased, which the backup may have held still."""
    from contextlib import closing

    import msgspec

    from audobon.app import App

    storage = app.settings.storage
    if folder != app.folder:
        # The other tiers are those of the data folder in use.
        storage = msgspec.structs.replace(storage, folder=folder, nearline=Path(), archive=Path())
    restored = App(msgspec.structs.replace(app.settings, storage=storage))
    with closing(restored.storage), closing(restored.keys):
        restored.data.settle_ledger()


def _of_fresh_machine(
    app: "App", source: "Location", words_file: Path | None, tell: "Tell", *, is_lenient: bool
) -> "tuple[Repository, Restorer]":
    from audobon.app import keyring_protectors
    from audobon.atomic import disk_errors
    from audobon.backup.keyrings import from_words
    from audobon.backup.repository import open_repository
    from audobon.backup.restoring import Restorer
    from audobon.keys.service import Keys

    repository = open_repository(source.absolute(), None, rights="read")
    if words_file is not None:
        with disk_errors(words_file):
            words = words_file.read_text(encoding="utf-8")
    else:
        words = click.prompt("the 24 recovery words", hide_input=True, err=True)
    protectors = keyring_protectors(app.settings)
    bring = from_words(repository, words, protectors)
    opener = lambda folder: Keys(folder, protectors)  # noqa: E731
    return repository, Restorer(repository, bring, opener, [repository.store], tell, is_lenient=is_lenient)


def _of_this_machine(
    app: "App", place: "Location | None", backup_id: str, tell: "Tell", stack: ExitStack, *, is_lenient: bool
) -> "tuple[Repository, Restorer]":
    from audobon.app import keyring_protectors
    from audobon.backup.keyrings import from_folder
    from audobon.backup.restoring import Restorer
    from audobon.keys.service import Keys

    backups = app.backups()
    repository, _ = stack.enter_context(backups.holding(place, backup_id))
    protectors = keyring_protectors(app.settings)
    return repository, Restorer(
        repository,
        from_folder(app.folder),
        lambda folder: Keys(folder, protectors),
        backups.ledgers(),
        tell,
        is_lenient=is_lenient,
    )


def _restore_files(
    app: "App",
    repository: "Repository",
    restorer: "Restorer",
    point: "Point",
    job_id: str | None,
    name: str | None,
    into: Path,
    *,
    as_json: bool,
) -> None:
    from audobon.backup.restoring_pages import PageRestorer

    pages = PageRestorer(repository, restorer, app.keys, point)
    found = pages.job(job_id or "") if name is None else pages.file(name, job_id=job_id)
    written = pages.write(found, into.absolute())
    if as_json:
        print_json({"id": point.manifest.id, "place": str(repository.path), "files": written})
        return
    for path in written:
        click.echo(path)


def _tell_plan(repository: "Repository", point: "Point", *, as_json: bool) -> None:
    size_bytes = sum(pack.size_bytes for pack in point.packs)
    if as_json:
        print_json(
            {
                "id": point.manifest.id,
                "place": str(repository.path),
                "at": point.manifest.at,
                "packs": len(point.packs),
                "size_bytes": size_bytes,
                "is_dry_run": True,
            }
        )
    say(
        f"would restore {point.manifest.id} from {repository.path}: {point.manifest.counts.jobs} jobs,"
        f" {len(point.packs)} packs, {amount_of(size_bytes)}"
    )


def _tell_restored(restored: "Restored", *, in_place: bool, is_fresh: bool, as_json: bool) -> None:
    if as_json:
        print_json(restored)
        return
    say(
        f"{restored.id} is restored into {restored.into}: {restored.packs} packs,"
        f" {amount_of(restored.size_bytes)}, {restored.blobs} blobs, the database up to commit"
        f" {restored.position.commit}"
    )
    for name, reason in restored.lacking.items():
        say(f"  left out: {name}: {reason}")
    if restored.erased:
        say(f"erased again, since a ledger says so: {', '.join(restored.erased)}")
    if restored.settings is not None:
        say(f"the settings of then are in {restored.settings}; they are not in force")
    if restored.kept_aside is not None:
        say(f"what was there before is in {restored.kept_aside}; remove it when you are sure")
    if is_fresh:
        say("backups go on in the places it knew: audobon backup status")
    if in_place:
        say("look: audobon jobs list; when it is as it should be: audobon backup now")
    else:
        say(f"to look into it: AUDOBON_STORAGE_FOLDER={shlex.quote(restored.into)} audobon jobs list")
