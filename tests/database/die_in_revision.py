"""Run as a program: brings a database to a revision again and again, dying one statement later each time.

    die_in_revision.py REVISION sqlite FILE | postgres URL

Each try is a process of its own that kills itself with SIGKILL before its next statement, or its next commit.
After each, the database must be as it was; prints how many died before one came through.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from old_databases import contents, contents_of_postgres
from sqlalchemy import Engine, event

from audobon.database import migrate
from audobon.database.postgres import Address


def main() -> None:
    """Die and look, until one comes through."""
    revision, engine, place = sys.argv[1:]

    def upgrade() -> None:
        if engine == "sqlite":
            migrate.upgrade(Path(place), revision)
        else:
            migrate.upgrade_postgres(Address(place).connect, revision)

    def look() -> object:
        return contents(Path(place)) if engine == "sqlite" else contents_of_postgres(Address(place).connect)

    before = look()
    for deaths in count():
        child = os.fork()
        if child == 0:
            _die_after(deaths)
            upgrade()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            print(f"came through after {deaths} deaths" if status == 0 else f"ended with {status}")
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        if look() != before:
            print(f"changed by the one that died before statement {deaths}")
            return


def _die_after(statements: int) -> None:
    left = statements

    def step(*_: object) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    event.listen(Engine, "before_cursor_execute", step)
    event.listen(Engine, "commit", step)


if __name__ == "__main__":
    main()
