"""The tables of the index of storage: what lies in which pack, and what is known of it.

All of it but reads, cursors, files that were seen and what was proved when can be made anew from the packs.
"""

FORMAT = 1

SCHEMA = """
CREATE TABLE pack (
    -- Never given twice: another process may know a pack by it that is gone.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pack_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    tier TEXT NOT NULL,
    tier_since REAL NOT NULL,
    state TEXT NOT NULL,
    -- Of an open pack: as far as its records stand here. What lies beyond is looked at when it is opened.
    size_bytes INTEGER NOT NULL,
    digest TEXT,
    created_at REAL NOT NULL,
    noncurrent_at REAL,
    verified_at REAL
);
CREATE INDEX pack_open ON pack (subject, kind) WHERE state = 'open';
CREATE INDEX pack_verified ON pack (verified_at);

CREATE TABLE blob (
    key BLOB PRIMARY KEY,
    pack INTEGER NOT NULL REFERENCES pack (id),
    offset INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    created_at REAL NOT NULL,
    reads INTEGER NOT NULL DEFAULT 0,
    last_read_at REAL,
    custom_time REAL,
    event_hold INTEGER NOT NULL DEFAULT 0,
    temporary_hold INTEGER NOT NULL DEFAULT 0,
    kept_until REAL,
    dead_at REAL
) WITHOUT ROWID;
CREATE INDEX blob_legacy ON blob (flags) WHERE flags & 2;

-- What was found damaged: where it lies, so that a second copy can mend it.
CREATE TABLE damaged (
    key BLOB NOT NULL,
    pack INTEGER NOT NULL REFERENCES pack (id),
    offset INTEGER NOT NULL,
    found_at REAL NOT NULL,
    PRIMARY KEY (key, pack, offset)
) WITHOUT ROWID;

-- The last note of each key, and the pack that it lies in (storage/notes.py).
CREATE TABLE note (
    key BLOB PRIMARY KEY,
    pack INTEGER NOT NULL REFERENCES pack (id),
    number INTEGER NOT NULL,
    custom_time REAL,
    event_hold INTEGER NOT NULL,
    temporary_hold INTEGER NOT NULL,
    kept_until REAL,
    removed_at REAL
) WITHOUT ROWID;
CREATE INDEX note_by_pack ON note (pack);

-- Where long work stands: scrub, lifecycle.
CREATE TABLE cursor (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

ERASED = """
CREATE TABLE IF NOT EXISTS erased (mark BLOB PRIMARY KEY, subject TEXT NOT NULL) WITHOUT ROWID
"""
"""Which blobs went with the key of their subject: marks that nobody can make without the keyring."""

SEEN_FILES = """
CREATE TABLE IF NOT EXISTS seen_file (
    file BLOB PRIMARY KEY,
    key BLOB NOT NULL,
    proof BLOB NOT NULL,
    read_at REAL NOT NULL
) WITHOUT ROWID
"""
"""Which blob a file was read as (storage/seen_files.py): hashes that nobody can make without the keyring."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS blob_of_pack ON blob (pack, dead_at, stored_bytes, size_bytes)",
    "CREATE INDEX IF NOT EXISTS blob_by_age ON blob (created_at)",
    "DROP INDEX IF EXISTS blob_by_pack",
)
"""What answers without a look at the blobs themselves, which lie in the order of their keys: what packs hold,
and which blobs are the newest. The last had no sizes, and is in files of before."""
