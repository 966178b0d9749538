"""Brings a database up to date: `python -m audobon.database.migrate_process FOLDER`.

The libraries that this takes, some 24 MB, end with the process; a run may have promised its memory.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from audobon.errors import AudobonError, Unavailable, by_code


class _Report(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str | None = None


def migrate_apart(folder: Path) -> None:
    """Have the database of a folder brought up to date; raises what `Database.open` does."""
    # -P: the folder we are started in may hold anything, modules included.
    command = [sys.executable, "-P", "-m", "audobon.database.migrate_process", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == 0:
        return
    try:
        report = msgspec.json.decode(done.stdout, type=_Report)
    except msgspec.DecodeError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise Unavailable(
            f"bringing the database in {folder} up to date ended with {done.returncode}: {last[0]}",
            hint="run the same command again",
        ) from None
    raise by_code(report.code)(report.message, hint=report.hint)


def main() -> int:
    """Open the database of the folder; on failure print the error as JSON and return its exit status."""
    from audobon.database.service import Database

    try:
        Database(Path(sys.argv[1])).open().close()
    except AudobonError as error:
        sys.stdout.buffer.write(msgspec.json.encode(_Report(error.code, error.message, error.hint)))
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
