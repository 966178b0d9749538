"""A PostgreSQL server with a receiver and a place of copies, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from postgres_site import SETTINGS, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with PostgresServer(durable=False, settings=SETTINGS) as server:
        made = Site(server, tmp_path)
        try:
            yield made
        finally:
            made.receiver.stop()
            made.keys.close()


@pytest.fixture
def site_with_rows(site: Site) -> Site:
    """Its log is received; it has a table of rows, and a whole backup."""
    site.begin()
    site.execute(
        "CREATE TABLE note (id integer PRIMARY KEY, words text)", "INSERT INTO note VALUES (1, 'one')"
    )
    site.backups.take(site.address)
    return site
