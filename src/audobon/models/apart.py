"""Has something measured in a process of its own, so that the figures are of nothing else.

A child reads one request as JSON, then writes lines of JSON: what it is at, and in the end an answer or an
error. It ends with whoever asked, however that one ends.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, TypeVar

import msgspec

from audobon.errors import AudobonError, WorkerDied, by_code

Tell = Callable[[str], None]
"""Takes a few words on what is being done."""


class _Words(msgspec.Struct, frozen=True, tag="words"):
    text: str


class _Answer(msgspec.Struct, frozen=True, tag="answer"):
    value: msgspec.Raw


class _Failure(msgspec.Struct, frozen=True, tag="failure"):
    code: str
    message: str
    hint: str | None = None


_Line = _Words | _Answer | _Failure
T = TypeVar("T")
R = TypeVar("R")


def silent(_words: str) -> None:
    """Tell nobody."""


def ask(module: str, request: object, answer: type[T], *, tell: Tell = silent) -> T:
    """Return what a module answers, run as a process of its own; see `serve`.

    raises  what the module raised, as long as it is an AudobonError; WorkerDied when it ended without a word
    """
    # -P: the folder we are started in may hold anything, modules included.
    command = [sys.executable, "-P", "-m", module]
    with tempfile.TemporaryFile() as errors, _started(command, errors) as process:
        try:
            line = _converse(process, request, tell)
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stdin is not None:
                process.stdin.close()
        status = process.wait()
        errors.seek(0)
        last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
    if isinstance(line, _Failure):
        raise by_code(line.code)(line.message, hint=line.hint)
    if line is None:
        raise WorkerDied(f"{module} ended with status {status}: {last[0]}")
    return msgspec.json.decode(line.value, type=answer)


def _started(command: list[str], errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)


def _converse(process: "subprocess.Popen[bytes]", request: object, tell: Tell) -> "_Answer | _Failure | None":
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # The pipe stays open: its end is how the child learns that nobody waits any more.
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    for text in process.stdout:
        line: _Line = msgspec.json.decode(text, type=_Line)
        if not isinstance(line, _Words):
            return line
        tell(line.text)
    return None


def serve(request: type[R], do: Callable[[R, Tell], object]) -> int:
    """Answer the one request on standard input; return the exit status of the process.

    do  gets the request, and something to tell its progress to; an AudobonError goes to who asked
    """
    # What libraries print goes to the log, not between the lines of the answer.
    with os.fdopen(os.dup(1), "wb", buffering=0) as target:
        os.dup2(2, 1)
        asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=request)
        threading.Thread(target=_end_with_asker, daemon=True).start()

        def say(line: _Line) -> None:
            target.write(msgspec.json.encode(line) + b"\n")

        try:
            value = do(asked, lambda words: say(_Words(words)))
        except AudobonError as error:
            say(_Failure(error.code, error.message, error.hint))
            return error.exit
        say(_Answer(msgspec.Raw(msgspec.json.encode(value))))
    return 0


def _end_with_asker() -> None:
    while os.read(0, 1 << 12):
        continue
    os._exit(1)
