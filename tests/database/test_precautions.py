"""Before a database is brought up to date it is checked and copied; the copy leads back."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import pytest
from old_databases import REVISIONS, contents, make_file

from audobon.database import migrate, precautions
from audobon.database.service import Database
from audobon.errors import Corrupt, DiskFull, NewerFormat, NotFound

DIE_WHILE_COPYING = """
import os, signal, sys
from pathlib import Path
from audobon.database.service import Database

replace = Path.replace

def die(self, target):
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = die
Database(Path(sys.argv[1])).open()
"""


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    """A folder whose database is of the first schema."""
    make_file(tmp_path / "audobon.db", REVISIONS[0])
    return tmp_path


def copies(folder: Path) -> list[Path]:
    return sorted((folder / "before-migration").glob("*"))


def revision(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "audobon.db")) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_an_older_database_is_copied_whole_before_it_is_brought_up_to_date(old_folder: Path) -> None:
    held = contents(old_folder / "audobon.db")
    Database(old_folder).open().close()
    (copy,) = copies(old_folder)
    assert contents(copy) == held
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert copy.name.startswith("audobon-0001-")
    assert copies(old_folder) == [copy]


def test_what_only_the_log_holds_is_in_the_copy(old_folder: Path) -> None:
    with closing(sqlite3.connect(old_folder / "audobon.db", isolation_level=None)) as writer:
        writer.execute("UPDATE job SET source = 'other.cbz'")
        Database(old_folder).open().close()
    (copy,) = copies(old_folder)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT source FROM job").fetchall() == [("other.cbz",)]


def test_a_new_database_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    Database(tmp_path).open().close()
    Database(tmp_path).open().close()
    assert not (tmp_path / "before-migration").exists()


def test_a_crowd_that_finds_an_older_database_copies_it_once(
    old_folder: Path, start_python: Callable[..., "Popen[str]"]
) -> None:
    code = "import sys; from pathlib import Path; from audobon.database.service import Database;"
    code += "Database(Path(sys.argv[1])).open().close(); print('open')"
    processes = [start_python(code, old_folder) for _ in range(4)]
    assert [process.communicate()[0] for process in processes] == ["open\n"] * 4
    assert len(copies(old_folder)) == 1


def damage_a_page(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root, size = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'task'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 100)


def test_a_damaged_database_is_refused_untouched_and_the_way_out_named(old_folder: Path) -> None:
    path = old_folder / "audobon.db"
    damage_a_page(path)
    before = path.read_bytes()
    with pytest.raises(Corrupt) as caught:
        Database(old_folder).open()
    assert caught.value.message.startswith(f"{path} is damaged, and was left as it is: ")
    assert caught.value.hint == "audobon database restore --in-place"
    assert path.read_bytes() == before
    assert copies(old_folder) == []


def test_a_reference_to_a_row_that_is_gone_is_told(old_folder: Path) -> None:
    with closing(sqlite3.connect(old_folder / "audobon.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM job")
    with pytest.raises(
        Corrupt, match=r"row 1 of entry belongs to a row of job that is gone|of .* that is gone"
    ):
        Database(old_folder).open()
    assert revision(old_folder) == "0001"


def test_want_of_room_is_told_before_anything_is_written(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(old_folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(DiskFull, match=r"needs 1 MB of room for a copy and new tables, and 0 MB are free"):
        Database(old_folder).open()
    assert copies(old_folder) == []
    assert revision(old_folder) == "0001"


def test_a_kill_while_copying_leaves_the_old_database_and_no_litter(
    old_folder: Path, start_python: Callable[..., "Popen[str]"]
) -> None:
    held = contents(old_folder / "audobon.db")
    start_python(DIE_WHILE_COPYING, old_folder).wait()
    assert [path.suffix for path in copies(old_folder)] == [".part"]
    assert contents(old_folder / "audobon.db") == held
    Database(old_folder).open().close()
    assert [path.suffix for path in copies(old_folder)] == [".db"]


def test_the_newest_three_copies_stay_and_one_of_each_revision(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_folder / "audobon.db"
    now = [1_700_000_000.0]
    monkeypatch.setattr(precautions, "utc_now", lambda: now[0])
    for name in ("0001", "0002", "0002", "0003", "0004", "0004"):
        now[0] += 60
        precautions.keep_copy(path, name)
    assert [(copy.revision, copy.kept_at - 1_700_000_000) for copy in precautions.kept_copies(path)] == [
        ("0004", 360),
        ("0003", 240),
        ("0002", 180),
    ]


def test_undoing_puts_back_what_was_and_keeps_what_is(old_folder: Path) -> None:
    database = Database(old_folder)
    held = contents(database.path)
    with closing(database.open()) as connection:
        connection.execute("UPDATE job SET source = 'since.cbz'")
    up_to_date = contents(database.path)
    back, kept = database.undo_migration()
    assert (back.revision, kept.revision) == ("0001", REVISIONS[-1])
    assert contents(database.path) == held
    assert contents(kept.path) == up_to_date
    with closing(database.open()) as connection:
        assert connection.execute("SELECT source FROM job").fetchone()[0] == "book.cbz"


def test_undoing_without_a_copy_says_so(tmp_path: Path) -> None:
    Database(tmp_path).open().close()
    with pytest.raises(NotFound, match="no copy from before revision") as caught:
        Database(tmp_path).undo_migration()
    assert caught.value.hint == "audobon database restore --in-place"


def test_a_newer_schema_that_names_this_version_is_used_as_it_is(tmp_path: Path) -> None:
    database = Database(tmp_path)
    with closing(database.open()) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with closing(database.open()) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone()[0] == "9999"
    looking = database.look()
    assert looking is not None
    looking.close()
    assert not (tmp_path / "before-migration").exists()


def test_a_newer_schema_that_asks_for_newer_code_is_refused_and_so_is_one_that_says_nothing(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path)
    with closing(database.open()) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_floor SET revision = '9998'")
    for _ in range(2):
        for deed in (database.open, database.look, database.migration):
            with pytest.raises(NewerFormat, match=r"written by a newer Audobon \(schema 9999\)"):
                deed()
        with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM schema_floor")


def test_a_plan_tells_what_is_to_come_and_changes_nothing(old_folder: Path) -> None:
    database = Database(old_folder)
    held = contents(database.path)
    plan = database.migration()
    assert plan is not None
    assert plan.revision == "0001"
    assert [number for number, _ in plan.revisions] == REVISIONS[1:]
    assert plan.revisions[0][1] == (
        "The queue at full strength: categories with rules, needs by class, owners, pools, schedules."
    )
    assert (plan.copies, plan.size_bytes > 0) == (old_folder / "before-migration", True)
    assert contents(database.path) == held
    database.open().close()
    assert database.migration() is None


def test_each_revision_notes_which_code_may_go_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "audobon.db"
    for script in migrate.revisions():
        migrate.upgrade(path, script.revision)
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_floor'").fetchone():
                floor = connection.execute("SELECT id, revision FROM schema_floor").fetchall()
                assert floor == [(1, script.module.oldest_code)]


def test_the_program_that_migrates_apart_tells_of_damage(old_folder: Path) -> None:
    damage_a_page(old_folder / "audobon.db")
    with pytest.raises(Corrupt) as caught:
        Database(old_folder, migrates_apart=True).open()
    assert caught.value.hint == "audobon database restore --in-place"
    command = [sys.executable, "-m", "audobon.database.migrate_process", str(old_folder)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == Corrupt.exit
