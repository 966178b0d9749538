"""Real processes are killed at every commit, sync and rename of what changes keys; nothing is lost."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from keyring_home import Home

from audobon.errors import AudobonError, SubjectErased
from audobon.keys import rotation
from audobon.keys.importing import import_recovery
from audobon.keys.passphrase import Passphrase
from audobon.keys.rotation import Wrapped
from audobon.keys.service import PERSONAL, Keys

StartPython = Callable[..., "subprocess.Popen[str]"]

WORDS = "correct horse battery"
CRYPTO_KEY = "projects/p/locations/us-central1/keyRings/audobon/cryptoKeys/keyrings"

KILLED = """
import json, os, signal, sys
from contextlib import contextmanager
from pathlib import Path

tests, folder, act, count = sys.argv[1:]
sys.path.insert(0, tests)

from keyring_home import Home
from audobon.keys import keystore, rotation
from test_kills import ACTS, Case

left = int(count)

def step():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def stepping(real):
    def stepped(*arguments, **named):
        step()
        outcome = real(*arguments, **named)
        step()
        return outcome
    return stepped

real_transaction = keystore.transaction

@contextmanager
def transaction(connection, **named):
    is_outer = not connection.in_transaction
    with real_transaction(connection, **named) as opened:
        yield opened
        if is_outer:
            step()
    if is_outer:
        step()

case = Case(Path(folder))
keystore.transaction = transaction
os.fsync, Path.replace, Path.unlink = stepping(os.fsync), stepping(Path.replace), stepping(Path.unlink)
rotation._BATCH = 8
ACTS[act](case)
print("done")
"""


class Case:
    """A keyring with history, as it lies in a folder, and what it must go on opening."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.notes = folder / "notes.json"

    def make(self) -> None:
        keys = self.home.open()
        ann = keys.subject("Ann")
        made = [keys.new_data_key(ann if number % 2 else PERSONAL) for number in range(20)]
        sealed = [keys.seal_text(subject, subject, context=b"c") for subject in (ann, PERSONAL)]
        keys.rotate()
        facts = {
            "ann": ann,
            "sealed": sealed,
            # Each case is a copy of it, and what unlocks the template is not a copy's to destroy.
            "of_template": self.home.unlock_file.name,
            "words": keys.recovery_words(),
            "held": [(m.id.hex(), m.subject, m.subject_version, m.wrapped.hex(), m.key.hex()) for m in made],
        }
        (self.notes.parent / "recovery").write_bytes(keys.export_for_recovery())
        self.notes.write_text(json.dumps(facts))
        keys.close()

    @property
    def facts(self) -> dict[str, object]:
        facts: dict[str, object] = json.loads(self.notes.read_text())
        return facts

    def held(self) -> list[Wrapped]:
        rows = self.facts["held"]
        assert isinstance(rows, list)
        return [(bytes.fromhex(i), s, v, bytes.fromhex(w)) for i, s, v, w, _ in rows]

    def unread(self, keys: Keys) -> set[str]:
        """Return whose data cannot be read; fails when anything reads as something else."""
        found = set()
        rows, texts = self.facts["held"], self.facts["sealed"]
        assert isinstance(rows, list)
        assert isinstance(texts, list)
        for (key_id, subject, version, wrapped), row in zip(self.held(), rows, strict=True):
            try:
                assert keys.open_data_key(key_id, subject, version, wrapped).hex() == row[4]
            except SubjectErased:
                found.add(subject)
        for text in texts:
            try:
                keys.unseal_text(text, context=b"c")
            except SubjectErased:
                found.add(text.split(".")[1])
        return found


def _rotate(case: Case) -> None:
    case.home.open(WORDS).rotate()


def _rewrap(case: Case) -> None:
    case.home.open(WORDS).rewrap(case.held())


def _erase(case: Case) -> None:
    case.home.open(WORDS).erase(str(case.facts["ann"]))


def _protect(case: Case) -> None:
    keys = case.home.open(WORDS)
    if keys.status().protector != "passphrase":
        keys.protect("passphrase", passphrase=Passphrase(given=WORDS))


def _lock(case: Case) -> None:
    case.home.cloud_key = CRYPTO_KEY
    keys = case.home.open(WORDS)
    if keys.status().protector != "cloud-kms":
        keys.protect("cloud-kms")


def _import(case: Case) -> None:
    import_recovery(
        case.home.folder,
        str(case.facts["words"]),
        (case.notes.parent / "recovery").read_bytes(),
        case.home.protectors(WORDS, wanted="unlock-file"),
        replace=True,
    )


ACTS = {
    "rotate": _rotate,
    "rewrap": _rewrap,
    "erase": _erase,
    "protect": _protect,
    "lock": _lock,
    "import": _import,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A keyring made once, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    Case(folder).make()
    return folder


@pytest.mark.parametrize("act", ACTS)
def test_a_kill_at_any_step_loses_nothing(
    act: str,
    template: Path,
    tmp_path: Path,
    start_python: StartPython,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(rotation, "_BATCH", 8)
    if act == "lock":
        request.getfixturevalue("cloud").kms.make_key(CRYPTO_KEY)
    for count in range(1, 200):
        case = Case(tmp_path / str(count))
        shutil.rmtree(case.home.folder)
        shutil.copytree(template, case.notes.parent, dirs_exist_ok=True)
        ann = str(case.facts["ann"])
        child = start_python(KILLED, Path(__file__).parent, case.notes.parent, act, count)
        out, _ = child.communicate()
        is_over = out == "done\n"
        assert is_over or child.returncode == -9
        keys = case.home.open(WORDS)
        assert case.unread(keys) <= ({ann} if act == "erase" else set())
        keys.close()
        ACTS[act](case)
        ended = case.home.open(WORDS)
        assert case.unread(ended) == ({ann} if act == "erase" else set())
        _assert_settled(case, ended, act)
        ended.close()
        shutil.rmtree(case.notes.parent)
        if is_over:
            assert count > 5
            return
    raise AssertionError("it never came to its end")


def _assert_settled(case: Case, keys: Keys, act: str) -> None:
    status = keys.status()
    assert status.ledger_fault is None
    leftovers = [path.name for path in case.home.folder.rglob("*.part")]
    assert leftovers == [] or act in ("protect", "rotate")
    assert not case.home.keystore.with_name("keystore.db-journal").exists()
    if act == "rewrap":
        assert status.rewrapped == 20
    if act in ("protect", "lock"):
        protector = {"protect": "passphrase", "lock": "cloud-kms"}[act]
        assert status.protector == protector
        names = [path.name for path in case.home.unlock_folder.iterdir()]
        assert [name.split(".")[1] for name in names if name != case.facts["of_template"]] == [protector]


def test_the_check_has_teeth(template: Path, tmp_path: Path) -> None:
    """A keyring whose user is gone does not pass for one that lost nothing."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    case = Case(tmp_path)
    case.home.open().erase(PERSONAL)
    assert case.unread(case.home.open()) == {PERSONAL}
    for path in case.home.unlock_folder.iterdir():
        path.unlink()
    with pytest.raises(AudobonError):
        case.unread(case.home.open())
