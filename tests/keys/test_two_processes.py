"""Processes that come at once share one keyring, and never undo each other's changes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from keyring_home import Home

from audobon.keys.service import PERSONAL

StartPython = Callable[..., "subprocess.Popen[str]"]

MAKES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from keyring_home import Home
from audobon.keys.service import PERSONAL, SYSTEM
keys = Home(Path(sys.argv[2])).open()
print("ready", flush=True)
sys.stdin.readline()
print(keys.seal_text(PERSONAL, "hello", context=b"c"))
print(keys.subject("Ann"), keys.seal_text(SYSTEM, "hello", context=b"c"), keys.recovery_words(), sep="|")
"""

ROTATES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from keyring_home import Home
from audobon.keys.service import PERSONAL
keys = Home(Path(sys.argv[2])).open()
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    keys.rotate()
    print(keys.seal_text(PERSONAL, str(number), context=b"c"))
"""


def together(start_python: StartPython, code: str, folder: Path, count: int) -> list[list[str]]:
    """Run code in some processes that begin at once; return what each printed."""
    started = [start_python(code, Path(__file__).parent, folder) for _ in range(count)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = []
    for process in started:
        out, _ = process.communicate()
        assert process.returncode == 0
        printed.append(out.splitlines())
    return printed


def test_processes_that_make_the_keyring_at_once_make_one(tmp_path: Path, start_python: StartPython) -> None:
    printed = together(start_python, MAKES, tmp_path, 4)
    keys = Home(tmp_path).open()
    for sealed, rest in printed:
        assert keys.unseal_text(sealed, context=b"c") == "hello"
        subject, of_system, words = rest.split("|")
        assert subject == keys.subject("Ann")
        assert keys.unseal_text(of_system, context=b"c") == "hello"
        assert words == keys.recovery_words()
    assert len([each for each in keys.subjects() if each.name == "Ann"]) == 1


def test_processes_that_rotate_at_once_all_count(tmp_path: Path, start_python: StartPython) -> None:
    Home(tmp_path).open().seal(PERSONAL, b"", context=b"")
    printed = together(start_python, ROTATES, tmp_path, 3)
    keys = Home(tmp_path).open()
    for lines in printed:
        assert [keys.unseal_text(text, context=b"c") for text in lines] == [
            str(number) for number in range(5)
        ]
    status = keys.status()
    assert (status.kek_version, status.tenant_version, status.subject_versions) == ("16", 16, 16)


PROTECTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from keyring_home import Home
from audobon.errors import Conflict
from audobon.keys.passphrase import Passphrase
from audobon.keys.service import PERSONAL
keys = Home(Path(sys.argv[2])).open("correct horse")
print("ready", flush=True)
sys.stdin.readline()
for number in range(4):
    for protector in ("passphrase", "unlock-file"):
        try:
            keys.protect(protector)
        except Conflict:
            pass
    keys.rotate()
    print(keys.seal_text(PERSONAL, str(number), context=b"c"))
"""


def test_processes_that_change_the_protector_at_once_never_lose_the_key(
    tmp_path: Path, start_python: StartPython
) -> None:
    Home(tmp_path).open().seal(PERSONAL, b"", context=b"")
    printed = together(start_python, PROTECTS, tmp_path, 3)
    keys = Home(tmp_path).open("correct horse")
    for lines in printed:
        assert [keys.unseal_text(text, context=b"c") for text in lines] == [
            str(number) for number in range(4)
        ]
    assert len(list((tmp_path / "keyrings").iterdir())) == 1
