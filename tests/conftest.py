"""Real Python processes for the tests to start, talk to and kill."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import audobon

StartPython = Callable[..., "subprocess.Popen[str]"]

_SOURCE = str(Path(audobon.__file__).parents[1])


@pytest.fixture
def start_python() -> Iterator[StartPython]:
    """Start Python code with arguments, its input and output as text pipes; killed when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
        environment = os.environ | {"PYTHONPATH": _SOURCE, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
