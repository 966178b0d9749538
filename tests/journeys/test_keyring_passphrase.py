"""A passphrase typed once at the terminal serves every process of a run."""

import os
import pty
import re
from pathlib import Path

from audobon_command import PROGRAM, Audobon
from drawn_pages import panelled_page

SECRET = "correct horse battery"


def typed(
    command: list[str], environment: dict[str, str], folder: Path, answers: dict[str, str]
) -> tuple[int, str]:
    """Run a command at a terminal and answer what it asks; return its status and all it said."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(command[0], command, environment)
    said = ""
    waiting = dict(answers)
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            # Linux tells the end of the last process at a terminal as an error.
            break
        if not data:
            break
        said += data.decode(errors="replace")
        for asked, answer in list(waiting.items()):
            if asked in said:
                del waiting[asked]
                os.write(terminal, (answer + "\n").encode())
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert not waiting, said
    return os.waitstatus_to_exitcode(status), said


def test_a_passphrase_is_asked_once_and_workers_work_with_it(audobon: Audobon) -> None:
    panelled_page().save(audobon.folder / "page.png")
    environment = audobon.environment | {"AUDOBON_KEYS_PROTECTOR": "passphrase"}
    run = [str(PROGRAM), "run", "panels", "page.png", "-o", "cut"]
    new = {"new passphrase of the keyring: ": SECRET, "once more: ": SECRET}
    status, said = typed(run, environment, audobon.folder, new)
    assert status == 0, said
    assert (audobon.folder / "cut" / "panels.json").exists()
    status, said = typed(
        [*run, "--overwrite", "--no-cache"],
        environment,
        audobon.folder,
        {"passphrase of the keyring: ": SECRET},
    )
    assert status == 0, said
    assert len(re.findall("passphrase of the keyring", said)) == 1
    for path in audobon.data.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_passphrase_typed_wrong_ends_the_run(audobon: Audobon) -> None:
    panelled_page().save(audobon.folder / "page.png")
    made = audobon.environment | {"AUDOBON_KEYS_PASSPHRASE": SECRET}
    run = [str(PROGRAM), "run", "panels", "page.png", "-o", "cut"]
    assert typed(run, made, audobon.folder, {})[0] == 0
    status, said = typed(
        [*run, "--overwrite"],
        audobon.environment,
        audobon.folder,
        {"passphrase of the keyring: ": "something else"},
    )
    assert status == 6
    assert "the passphrase does not open the keyring" in said
