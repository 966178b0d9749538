"""Real Python processes for the tests to start, talk to and kill."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import audobon

if TYPE_CHECKING:
    from fakes.cloud import FakeCloud

StartPython = Callable[..., "subprocess.Popen[str]"]

# What unlocks the keyrings of the tests' data folders shall not lie in the home of whoever runs them.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="audobon-tests-")

_SOURCE = str(Path(audobon.__file__).parents[1])


def pytest_configure(config: pytest.Config) -> None:
    """Tell what `live` means."""
    config.addinivalue_line("markers", "live: speaks to real Google Cloud, which costs; by `-m live` alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what speaks to real Google Cloud, unless it was asked for by name."""
    if "live" not in config.option.markexpr:
        live = [item for item in items if item.get_closest_marker("live") is not None]
        config.hook.pytest_deselected(items=live)
        items[:] = [item for item in items if item not in live]


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


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator["FakeCloud"]:
    """A Google Cloud in effigy on loopback, which this process and those it starts speak to.

    Its clock is `cloud.clock`, which only moves when it is turned.
    """
    # Few tests need it, and Google's packages are slow to import.
    from fakes.clock import TurnedClock
    from fakes.cloud import FakeCloud

    with FakeCloud(clock=TurnedClock()) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        yield cloud
