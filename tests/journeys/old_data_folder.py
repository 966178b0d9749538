"""Builds a data folder as Audobon left it before it encrypted: clear blobs, schema 0002, no keyring."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import blake3

from audobon.database import migrate

SETTINGS = '{"order":"ltr","pictures":false}'


def old_key(data: bytes) -> str:
    """Return the name that bytes had in storage."""
    return blake3.blake3(data).hexdigest()


def put_clear(folder: Path, data: bytes) -> str:
    key = old_key(data)
    path = folder / "blobs" / key[:2] / key[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return key


def build(folder: Path, source: Path, pages: dict[str, bytes]) -> dict[str, str]:
    """Put a job on record that did all its pages but the last; return the blobs of its pages by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / "incoming").mkdir(parents=True)
    database = folder / "audobon.db"
    migrate.upgrade(database, "0002")
    keys = {name: put_clear(folder, data) for name, data in pages.items()}
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "INSERT INTO job (id, key, operation, settings, source, document_kind, state, created_at)"
            " VALUES ('20250101-120000-abcdef', ?, 'panels', ?, ?, 'folder', 'interrupted', 1735732800)",
            (old_key(b"the job"), SETTINGS, str(source)),
        )
        connection.execute(
            "INSERT INTO queue (name, state, rules) VALUES ('batch', 'run', '{\"name\": \"batch\"}')"
        )
        connection.execute(
            "INSERT INTO resource_class (id, queue, kind, model, device, ram_bytes, vram_bytes)"
            " VALUES (1, 'batch', 'page', '', '', 0, 0)"
        )
        for ordinal, (name, key) in enumerate(keys.items()):
            connection.execute(
                "INSERT INTO entry (job_id, ordinal, name, is_page, blob, size_bytes)"
                " VALUES ('20250101-120000-abcdef', ?, ?, 1, ?, ?)",
                (ordinal, name, key, len(pages[name])),
            )
            connection.execute(
                "INSERT INTO task (job_id, ordinal, class_id, state, priority, rank, enqueued_at, run_at,"
                " attempt, max_attempts, token, payload, result, total_units)"
                " VALUES ('20250101-120000-abcdef', ?, 1, ?, 0, 5, 5, 5, 1, 3, 1, ?, ?, 4)",
                (
                    ordinal,
                    "cancelled" if ordinal == len(keys) - 1 else "done",
                    json.dumps({"page": key}),
                    '{"panels": []}',
                ),
            )
        connection.commit()
    return keys
