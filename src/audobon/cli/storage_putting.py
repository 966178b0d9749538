"""`audobon storage put`: files and folders kept, each once."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.storage_holds import put_on_record
from audobon.cli.terminal import is_terminal, one_line, print_json, say

if TYPE_CHECKING:
    from audobon.app import App

# Small files share the waits for the disk.
_BUNCH_FILES = 1000
_BUNCH_BYTES = 32 << 20


@click.command(short_help="Keep files and folders; each file's key is printed.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--subject", help="The person or project they belong to; made when there is none.")
@click.option(
    "--reread", is_flag=True, help="Read every file, also what looks as it did when it was last read."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only print the keys that they would have.")
@click.option("--json", "as_json", is_flag=True, help="Print names and keys as JSON.")
def put(paths: tuple[Path, ...], *, subject: str | None, reread: bool, is_dry: bool, as_json: bool) -> None:
    """Keep files, and all files in folders, encrypted, until they are deleted by name.

    No job and no sweep removes them. May be stopped at any time: the same command goes on, since what is kept
    already is not stored again. A file that looks as it did when it was read in the last 30 days (size, times
    and place on the disk) is not even read: see --reread. Links in folders are not followed.
    """
    from audobon.app import open_app
    from audobon.cli.queue_words import counted

    app = open_app()
    owner = _owner(app, subject, is_dry=is_dry)
    files = [file for path in paths for file in _files_in(path)]
    told: list[dict[str, str]] = []
    fresh = size = 0
    for bunch in _bunches(files):
        if is_dry:
            keys = app.storage.keys_of_files(bunch, subject=owner, kind="user", rereads=reread)
        else:
            with app.storage.batch(subject=owner, kind="user") as batch:
                keys = batch.put_files(bunch, rereads=reread)
            fresh, size = fresh + batch.new_blobs, size + batch.new_bytes
        for file, key in zip(bunch, keys, strict=True):
            told.append({"file": str(file), "key": key})
            if not as_json:
                click.echo(f"{key}  {one_line(str(file))}")
        if (as_json or not sys.stdout.isatty()) and is_terminal():
            click.echo(f"\r{len(told)} of {len(files)} files", nl=len(told) == len(files), err=True)
    if as_json:
        print_json(told)
    if not is_dry:
        put_on_record(app, "files kept", files=fresh, size_bytes=size)
        already = len(told) - fresh
        if not as_json and len(told) > 1:
            also = f"; {counted(already, 'file')} there already" if already else ""
            say(f"kept {counted(fresh, 'file')}, {size / 1e6:.1f} MB{also}")


def _owner(app: "App", subject: str | None, *, is_dry: bool) -> str:
    from audobon.errors import SubjectErased, SubjectNotFound
    from audobon.keys.service import PERSONAL

    if subject is None:
        return PERSONAL if is_dry else app.keys.subject(PERSONAL)
    try:
        # By name or by id, as everywhere.
        found = app.keys.find_subject(subject)
    except SubjectNotFound:
        if is_dry:
            raise
        return app.keys.subject(subject)
    if found.erased_at is not None:
        raise SubjectErased(f"what belonged to {found.id} was erased, with its key")
    return found.id


def _files_in(path: Path) -> Iterator[Path]:
    """Yield a file, or all files in a folder. raises NotFound, Denied for a folder that cannot be read."""
    from audobon.atomic import disk_errors

    if not path.is_dir():
        yield path
        return
    with disk_errors(path), os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
        # What the folder tells of each is enough: none is looked at by itself.
        files = [entry.path for entry in found if entry.is_file(follow_symlinks=False)]
        folders = [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
    yield from map(Path, files)
    for folder in folders:
        yield from _files_in(Path(folder))


def _bunches(files: list[Path]) -> Iterator[list[Path]]:
    """Yield files that are made durable together."""
    from audobon.atomic import disk_errors

    bunch: list[Path] = []
    size = 0
    for file in files:
        with disk_errors(file):
            size += file.stat().st_size
        bunch.append(file)
        if size >= _BUNCH_BYTES or len(bunch) >= _BUNCH_FILES:
            yield bunch
            bunch, size = [], 0
    if bunch:
        yield bunch
