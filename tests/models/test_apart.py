"""Asking a process of its own: answers, progress, errors, and an end with whoever asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audobon.errors import ModelNotFound, WorkerDied
from audobon.models import apart
from audobon.models.apart import ask

CHILD = """
import os, sys
from audobon.errors import ModelNotFound
from audobon.models.apart import serve

def do(question, tell):
    tell("halfway")
    print("a library prints")
    os.write(1, b"from C as well")
    if question == "fail":
        raise ModelNotFound("no such thing", hint="look elsewhere")
    if question == "die":
        sys.stderr.write("last words\\n")
        os._exit(3)
    if question == "wait":
        tell("waiting")
        os.read(os.pipe()[0], 1)
    return question.upper()

sys.exit(serve(str, do))
"""


@pytest.fixture(autouse=True)
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))


def test_the_answer_comes_back_beside_what_is_told_and_printed() -> None:
    told: list[str] = []
    assert ask("made_up_child", "word", str, tell=told.append) == "WORD"
    assert told == ["halfway"]


def test_an_error_of_the_child_is_raised_here_as_it_was() -> None:
    with pytest.raises(ModelNotFound) as caught:
        ask("made_up_child", "fail", str)
    assert (caught.value.message, caught.value.hint) == ("no such thing", "look elsewhere")


def test_a_child_that_ends_without_a_word_is_named_with_its_last_line() -> None:
    with pytest.raises(WorkerDied, match=r"made_up_child ended with status 3: .*last words"):
        ask("made_up_child", "die", str)


def test_a_child_is_killed_when_who_asked_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    original = apart._started

    def recorded(*arguments: object) -> "subprocess.Popen[bytes]":
        started.append(original(*arguments))  # type: ignore[arg-type]
        return started[-1]

    def interrupt(words: str) -> None:
        if words == "waiting":
            raise KeyboardInterrupt

    monkeypatch.setattr(apart, "_started", recorded)
    with pytest.raises(KeyboardInterrupt):
        ask("made_up_child", "wait", str, tell=interrupt)
    assert started[0].wait(timeout=10) == -9


def test_a_child_ends_when_who_asked_was_killed() -> None:
    command = [sys.executable, "-m", "made_up_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'"wait"\n')
        process.stdin.flush()
        assert b"halfway" in process.stdout.readline()
        assert b"waiting" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=10) == 1
