"""A keyring made from a recovery file and its words, on a machine that has nothing else."""

import os
import shutil
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from audobon.atomic import (
    clear_leftovers,
    disk_errors,
    free_name,
    leftovers,
    make_private_folder,
    sync_folder,
    temporary_beside,
)
from audobon.clock import utc_now
from audobon.errors import (
    AudobonError,
    Conflict,
    CorruptKeyring,
    ForeignRepository,
    SubjectErased,
    SubjectNotFound,
)
from audobon.keys.abandoning import abandon
from audobon.keys.keystore import Keystore, keystore_path, read_marker, write_marker
from audobon.keys.protector import Protectors
from audobon.keys.recovery import Content, RecoveryKey, read_heading
from audobon.keys.ring import Ring
from audobon.keys.status import prove
from audobon.keys.subjects import secret_context, subject_context
from audobon.keys.wrapping import wrap
from audobon.processes import FileLock


class Imported(msgspec.Struct, frozen=True):
    """The keyring that a recovery file held; instants are UTC seconds.

    replaced  where the keystore lies that was there before; None: there was none
    """

    id: str
    created_at: float
    subjects: int
    subject_keys: int
    data_keys: int
    replaced: str | None = None


def look_into(words: str, file: bytes) -> Imported:
    """Return what a recovery file holds, changing nothing.

    raises  WrongPassphrase, InvalidInput, NewerFormat, CorruptKeyring
    """
    return _outcome(file, _content(words, file))


def import_recovery(
    folder: Path, words: str, file: bytes, protectors: Protectors, *, replace: bool = False
) -> Imported:
    """Make the keyring of a data folder from a recovery file, under a fresh key-encryption key.

    replace  when the folder has a sound keyring; a damaged one, or one that does not open, is replaced
             anyway. Kept beside.
    raises   Conflict, ForeignRepository when the folder belongs to another keyring, and as `look_into`
    """
    content = _content(words, file)
    outcome = _outcome(file, content)
    known = read_marker(folder)
    if known is not None and known != outcome.id:
        raise ForeignRepository(
            f"{folder} belongs to keyring {known}, and the file is of {outcome.id}",
            hint="import it into another data folder: AUDOBON_STORAGE_FOLDER",
        )
    with (
        disk_errors(folder),
        FileLock(folder / "locks" / "import.lock", purpose="importing a keyring", wait=True),
    ):
        if not replace and _is_sound(folder, protectors):
            raise Conflict(f"the keyring of {folder} opens as it is", hint="add --overwrite to replace it")
        for leftover in leftovers(folder / "keyring"):
            with suppress(AudobonError):
                _abandon(leftover, protectors)
        clear_leftovers(folder / "keyring")
        scratch = temporary_beside(folder / "keyring")
        scratch.mkdir(mode=0o700)
        try:
            _build(scratch, outcome.id, content, protectors)
            aside = _put_in_place(folder, keystore_path(scratch))
        except BaseException:
            # Where that fails too, the next import tries again, and needs the keystore for it.
            with suppress(AudobonError):
                _abandon(scratch, protectors)
                shutil.rmtree(scratch, ignore_errors=True)
            raise
        shutil.rmtree(scratch, ignore_errors=True)
        write_marker(folder, outcome.id)
    return msgspec.structs.replace(outcome, replaced=None if aside is None else str(aside))


def _is_sound(folder: Path, protectors: Protectors) -> bool:
    store = Keystore(folder)
    if not store.exists:
        return False
    ring = Ring(store, protectors, when_opened=lambda: None)
    try:
        ring.secret("recovery")
    except AudobonError:
        store.close()
        return False
    try:
        # What opens may be damaged all the same, and would be so in every export.
        prove(ring)
    except (CorruptKeyring, SubjectErased, SubjectNotFound):
        return False
    finally:
        store.close()
    return True


def _abandon(scratch: Path, protectors: Protectors) -> None:
    with closing(Keystore(scratch)) as store:
        abandon(Ring(store, protectors, when_opened=lambda: None))


def _build(scratch: Path, keyring_id: str, content: Content, protectors: Protectors) -> None:
    store = Keystore(scratch, new_id=keyring_id)
    ring = Ring(store, protectors, when_opened=lambda: None)
    try:
        protector = protectors.choose()
        kek = protectors.kek(store, protector)
        with ring.changing() as connection:
            store.set_meta("protector", protector.encode())
            store.set_meta("personal", content.personal.encode())
            # Who has the file and the words has seen the words.
            store.set_meta("words exported at", str(utc_now()).encode())
            for subject in content.begun:
                store.set_meta(f"has {subject}", b"")
            tenant = ring.add_tenant_key(1, kek)
            for name, secret in content.secrets.items():
                connection.execute(
                    "INSERT INTO secret VALUES (?, 1, ?)", (name, wrap(tenant, secret, secret_context(name)))
                )
            connection.executemany("INSERT INTO subject VALUES (?, ?, ?, ?)", content.subjects)
            for subject, version, key, created_at in content.subject_keys:
                wrapped = wrap(tenant, key, subject_context(subject, version))
                connection.execute(
                    "INSERT INTO subject_key VALUES (?, ?, 1, ?, ?)", (subject, version, wrapped, created_at)
                )
            connection.executemany("INSERT INTO data_key VALUES (?, ?, ?, ?)", content.data_keys)
    finally:
        store.close()


def _put_in_place(folder: Path, built: Path) -> Path | None:
    """Put a keystore in its place; return where the one lies that was there."""
    target = keystore_path(folder)
    make_private_folder(target.parent)
    aside = free_name(f"{target}.replaced-{utc_now():.0f}")
    journal = Path(f"{target}-journal")
    was_there = target.exists()
    if was_there:
        try:
            # A second name, so that there is a keystore at any instant.
            os.link(target, aside)
        except OSError:
            target.replace(aside)
    # The old one's journal must not be taken for the new one's.
    if journal.exists():
        journal.replace(f"{aside}-journal")
    built.replace(target)
    sync_folder(target.parent)
    return aside if was_there else None


def _content(words: str, file: bytes) -> Content:
    plain = RecoveryKey.from_words(words).open(file)
    try:
        return msgspec.msgpack.decode(plain, type=Content)
    except msgspec.DecodeError as error:
        raise CorruptKeyring("the recovery file holds no keyring") from error


def _outcome(file: bytes, content: Content) -> Imported:
    heading, _ = read_heading(file)
    return Imported(
        heading.keyring,
        heading.created_at,
        sum(subject[3] is None for subject in content.subjects),
        len(content.subject_keys),
        len(content.data_keys),
    )
