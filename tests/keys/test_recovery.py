"""Twenty-four words open what a keyring exported; nothing else does, and nothing else is believed."""

from pathlib import Path

import msgspec
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring_home import Home

from audobon.errors import (
    Conflict,
    CorruptKeyring,
    ForeignRepository,
    InvalidInput,
    KeyringLost,
    NewerFormat,
    SubjectErased,
    WrongPassphrase,
)
from audobon.keys.importing import Imported, import_recovery, look_into
from audobon.keys.recovery import Content, RecoveryKey, read_heading
from audobon.keys.service import PERSONAL, SYSTEM, Keys

SEED = bytes(range(32))


def test_words_are_those_of_bip39() -> None:
    # The first and last vectors of 256 bits in the proposal itself.
    assert RecoveryKey(bytes(32)).words == "abandon " * 23 + "art"
    assert RecoveryKey(b"\xff" * 32).words == "zoo " * 23 + "vote"


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_any_seed_comes_back_from_its_words_and_is_an_identity_that_age_takes(seed: bytes) -> None:
    key = RecoveryKey(seed)
    again = RecoveryKey.from_words("  " + key.words.upper().replace(" ", "\n ") + "\n")
    assert (again.identity, again.recipient) == (key.identity, key.recipient)
    assert key.identity.startswith("AGE-SECRET-KEY-1")
    assert pyrage.x25519.Identity.from_str(key.identity).to_public() is not None
    assert key.recipient.startswith("age1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "24 words, and these are 0"),
        ("abandon " * 22 + "art", "these are 23"),
        ("abandon " * 23 + "arx", "word 24 is not a word"),
        ("abandon " * 23 + "zoo", "do not belong together"),
    ],
)
def test_words_that_cannot_be_right_are_told_without_repeating_them(words: str, says: str) -> None:
    with pytest.raises(WrongPassphrase, match=says) as error:
        RecoveryKey.from_words(words)
    assert "arx" not in error.value.message


def lived_in(keys: Keys) -> dict[str, str]:
    """Use a keyring as people do; return sealed texts by what they say."""
    ann = keys.subject("Ann")
    sealed = {"of Ann": keys.seal_text(ann, "of Ann", context=b"c")}
    made = keys.new_data_key(ann)
    keys.rotate()
    keys.rewrap([(made.id, ann, made.subject_version, made.wrapped)])
    for subject in (ann, PERSONAL, SYSTEM):
        text = f"newer of {subject}"
        sealed[text] = keys.seal_text(subject, text, context=b"c")
    return sealed


@pytest.mark.parametrize("protector", ["unlock-file", "passphrase"])
def test_a_fresh_machine_has_everything_from_the_words_and_a_file(
    keys: Keys, tmp_path: Path, protector: str
) -> None:
    sealed = lived_in(keys)
    held = keys.new_data_key(PERSONAL)
    words, file = keys.recovery_words(), keys.export_for_recovery()
    blob_id_key, public = keys.blob_id_key(PERSONAL), keys.public_signing_key
    fresh = Home(tmp_path / "fresh")
    protectors = fresh.protectors("correct horse", wanted=protector)
    imported = import_recovery(fresh.folder, words, file, protectors)
    assert imported == Imported(keys.id, imported.created_at, 3, 7, 1)
    anew = fresh.open("correct horse")
    assert {anew.unseal_text(text, context=b"c") for text in sealed.values()} == set(sealed)
    assert anew.open_data_key(held.id, PERSONAL, held.subject_version, held.wrapped) == held.key
    assert (anew.blob_id_key(PERSONAL), anew.public_signing_key) == (blob_id_key, public)
    assert anew.recovery_words() == words
    assert [each.name for each in anew.subjects()] == [each.name for each in keys.subjects()]
    assert anew.status().protector == protector
    # Two machines of one keyring, each with a topmost key of its own.
    assert anew.rotate().subjects == 3


def test_the_file_is_age_after_its_first_line(keys: Keys) -> None:
    lived_in(keys)
    key = RecoveryKey.from_words(keys.recovery_words())
    _, sealed = read_heading(keys.export_for_recovery())
    plain = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(key.identity)])
    assert msgspec.msgpack.decode(plain, type=Content).personal == PERSONAL
    assert keys.recovery_recipient() == key.recipient


def test_every_flipped_byte_and_every_cut_of_a_file_is_noticed(keys: Keys) -> None:
    lived_in(keys)
    words, file = keys.recovery_words(), keys.export_for_recovery()
    for place in range(len(file)):
        changed = bytearray(file)
        changed[place] ^= 1 << place % 8
        with pytest.raises((CorruptKeyring, InvalidInput, NewerFormat, WrongPassphrase)):
            look_into(words, bytes(changed))
    for length in range(0, len(file), 13):
        with pytest.raises((CorruptKeyring, InvalidInput)):
            look_into(words, file[:length])


def test_other_words_and_strange_files_have_errors_of_their_own(keys: Keys) -> None:
    words, file = keys.recovery_words(), keys.export_for_recovery()
    others = RecoveryKey(SEED).words
    with pytest.raises(WrongPassphrase, match=f"which is of keyring {keys.id}"):
        look_into(others, file)
    for strange in (b"", b"\x89PNG\r\n", b"age-encryption.org/v1\n-> X25519 abc\n", b"{}\n", b"[1]\nx"):
        with pytest.raises(InvalidInput, match="not a recovery file"):
            look_into(words, strange)
    with pytest.raises(NewerFormat):
        look_into(words, file.replace(b'"format":1', b'"format":2', 1))


def test_a_file_that_somebody_else_made_for_the_recipient_is_refused(keys: Keys) -> None:
    """The recipient is public: whoever knows it can encrypt to it, but cannot authenticate."""
    words, file = keys.recovery_words(), keys.export_for_recovery()
    heading, _ = read_heading(file)
    forged = RecoveryKey(SEED).seal(b"other keys", keyring=heading.keyring)
    theirs, sealed = read_heading(forged)
    recipient = pyrage.x25519.Recipient.from_str(heading.recipient)
    sealed = pyrage.encrypt(b"other keys", [recipient])
    import hashlib

    theirs.recipient, theirs.digest = heading.recipient, hashlib.sha256(sealed).hexdigest()
    for mac in (theirs.mac, heading.mac, ""):
        theirs.mac = mac
        with pytest.raises(CorruptKeyring, match="not made by this keyring"):
            look_into(words, msgspec.json.encode(theirs) + b"\n" + sealed)


def test_an_export_after_an_erasure_has_nothing_of_the_subject(keys: Keys) -> None:
    sealed = lived_in(keys)
    ann = keys.find_subject("Ann").id
    words = keys.recovery_words()
    keys.erase(ann)
    plain = RecoveryKey.from_words(words).open(keys.export_for_recovery())
    content = msgspec.msgpack.decode(plain, type=Content)
    assert ann not in {row[0] for row in content.subject_keys} | {row[1] for row in content.data_keys}
    assert {row[0]: row[1] for row in content.subjects}[ann] == b""
    assert sealed


def test_an_older_export_does_not_bring_anybody_back(home: Home, keys: Keys) -> None:
    sealed = lived_in(keys)
    words, older = keys.recovery_words(), keys.export_for_recovery()
    keys.erase(keys.find_subject("Ann").id)
    keys.close()
    home.keystore.unlink()
    import_recovery(home.folder, words, older, home.protectors())
    fresh = home.open()
    with pytest.raises(SubjectErased):
        fresh.unseal_text(sealed["of Ann"], context=b"c")
    assert fresh.unseal_text(sealed["newer of personal"], context=b"c") == "newer of personal"


def test_a_keyring_that_opens_is_replaced_only_when_asked(home: Home, keys: Keys) -> None:
    words, file = keys.recovery_words(), keys.export_for_recovery()
    later = keys.seal_text(keys.subject("Later"), "x", context=b"c")
    with pytest.raises(Conflict, match="opens as it is"):
        import_recovery(home.folder, words, file, home.protectors())
    assert home.open().unseal_text(later, context=b"c") == "x"
    import_recovery(home.folder, words, file, home.protectors(), replace=True)
    assert home.open().recovery_words() == words
    assert [path.name.partition(".db.")[2][:8] for path in home.keystore.parent.glob("*.replaced-*")] == [
        "replaced"
    ]


@pytest.mark.parametrize(
    "lost", ["unlock file", "keystore", "keys folder", "unlock file damaged", "keystore damaged"]
)
def test_whatever_is_lost_comes_back_by_the_words(home: Home, keys: Keys, lost: str) -> None:
    sealed = lived_in(keys)
    words, file = keys.recovery_words(), keys.export_for_recovery()
    keys.close()
    if lost == "unlock file":
        home.unlock_file.unlink()
    elif lost == "keystore":
        home.keystore.unlink()
    elif lost == "keys folder":
        for path in home.keystore.parent.iterdir():
            path.unlink()
        home.keystore.parent.rmdir()
    else:
        path = home.unlock_file if lost == "unlock file damaged" else home.keystore
        path.write_bytes(bytes(200) + path.read_bytes()[200:])
    with pytest.raises((KeyringLost, CorruptKeyring)) as error:
        home.open().unseal_text(sealed["of Ann"], context=b"c")
    assert error.value.hint == "audobon keys import-recovery"
    import_recovery(home.folder, words, file, home.protectors())
    fresh = home.open()
    assert {fresh.unseal_text(text, context=b"c") for text in sealed.values()} == set(sealed)


def test_a_forgotten_passphrase_is_replaced_by_the_words(home: Home) -> None:
    keys = home.open("correct horse")
    sealed = keys.seal_text(PERSONAL, "x", context=b"c")
    words, file = keys.recovery_words(), keys.export_for_recovery()
    keys.close()
    import_recovery(home.folder, words, file, home.protectors("another secret"))
    assert home.open("another secret").unseal_text(sealed, context=b"c") == "x"


def test_a_data_folder_of_another_keyring_is_left_alone(home: Home, keys: Keys) -> None:
    keys.subject(PERSONAL)
    other = Home(home.folder / "other").open()
    with pytest.raises(ForeignRepository, match=f"belongs to keyring {keys.id}"):
        import_recovery(
            home.folder, other.recovery_words(), other.export_for_recovery(), home.protectors(), replace=True
        )
