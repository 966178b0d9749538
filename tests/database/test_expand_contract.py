"""Revisions expand: none takes from the code of the release before what it uses, unless it says so."""

from contextlib import closing
from pathlib import Path

import pytest
from old_databases import REVISIONS, before, make_file, make_postgres
from schema_changes import Shape, contractions, shape
from sqlalchemy import URL, NullPool, create_engine

from audobon.database import migrate
from audobon.database.postgres import Address

pytest_plugins = ("postgres_fixture",)

SCRIPTS = {script.revision: script for script in migrate.revisions()}


def sqlite_shape(path: Path) -> Shape:
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    with engine.connect() as connection:
        return shape(connection)


def postgres_shape(address: Address) -> Shape:
    engine = create_engine("postgresql+psycopg://", creator=address.connect, poolclass=NullPool)
    with engine.connect() as connection:
        return shape(connection)


def marker(revision: str) -> str:
    return str(getattr(SCRIPTS[revision].module, "contracts", ""))


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_takes_nothing_away_unless_it_says_so(
    tmp_path: Path, postgres_url: str, revision: str
) -> None:
    path, address = tmp_path / "audobon.db", Address(postgres_url)
    make_file(path, before(revision))
    make_postgres(address.connect, before(revision))
    held = sqlite_shape(path), postgres_shape(address)
    migrate.upgrade(path, revision)
    migrate.upgrade_postgres(address.connect, revision)
    taken = contractions(held[0], sqlite_shape(path)) + contractions(held[1], postgres_shape(address))
    if not marker(revision):
        assert taken == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_code_is_shut_out_by_revisions_that_contract_and_by_no_others(revision: str) -> None:
    previous = before(revision)
    oldest = SCRIPTS[revision].module.oldest_code
    if previous is None or marker(revision):
        assert oldest == revision
    else:
        assert oldest == SCRIPTS[previous].module.oldest_code


def test_revisions_are_numbers_one_after_the_other() -> None:
    assert all(len(revision) == 4 and revision.isdecimal() for revision in REVISIONS)
    assert sorted(REVISIONS) == REVISIONS
    assert [SCRIPTS[revision].down_revision for revision in REVISIONS] == [None, *REVISIONS[:-1]]


PLANTED = [
    ("DROP TABLE task_event", ["task_event is gone"]),
    ("ALTER TABLE job RENAME COLUMN target TO place", ["job.target is gone"]),
    ("ALTER TABLE job DROP COLUMN report", ["job.report is gone"]),
    ("ALTER TABLE task ALTER COLUMN rank TYPE integer", ["task.rank was DOUBLE PRECISION and is INTEGER"]),
    ("ALTER TABLE pool ALTER COLUMN ram_bytes TYPE integer", ["pool.ram_bytes was BIGINT and is INTEGER"]),
    ("ALTER TABLE job ALTER COLUMN target SET NOT NULL", ["job.target may no longer be NULL"]),
    ("ALTER TABLE task ALTER COLUMN token DROP DEFAULT", ["task.token has no default any more"]),
    ("ALTER TABLE job ADD COLUMN owner text NOT NULL", ["job.owner is new, and rows need it"]),
    ("CREATE UNIQUE INDEX one_key ON job (key)", ["job is unique by key"]),
    (
        "ALTER TABLE task ADD FOREIGN KEY (class_id) REFERENCES resource_class",
        ["task refers elsewhere by class_id"],
    ),
    ("ALTER TABLE entry ADD CONSTRAINT small CHECK (size_bytes < 9)", ["entry is checked by small"]),
    (
        "ALTER TABLE queue DROP CONSTRAINT queue_state;"
        "ALTER TABLE queue ADD CONSTRAINT queue_state CHECK (state IN ('run', 'pause'))",
        ["queue is checked by queue_state"],
    ),
    ("ALTER TABLE job ADD COLUMN owner text", []),
    ("ALTER TABLE job ADD COLUMN owner text NOT NULL DEFAULT 'me'", []),
    ("ALTER TABLE task ALTER COLUMN attempt TYPE bigint", []),
    ("CREATE TABLE extra (id integer)", []),
    ("CREATE INDEX job_by_state ON job (state)", []),
    (
        "ALTER TABLE queue DROP CONSTRAINT queue_state;"
        "ALTER TABLE queue ADD CONSTRAINT queue_state CHECK (state IN ('run', 'pause', 'drain', 'rest'))",
        [],
    ),
]


@pytest.mark.parametrize(("change", "told"), PLANTED, ids=[change for change, _ in PLANTED])
def test_what_is_taken_away_is_told_and_what_is_added_is_not(
    queue_url: str, change: str, told: list[str]
) -> None:
    address = Address(queue_url)
    held = postgres_shape(address)
    with closing(address.connect()) as connection:
        connection.execute(b"DELETE FROM job; " + change.encode())
    assert contractions(held, postgres_shape(address)) == told
