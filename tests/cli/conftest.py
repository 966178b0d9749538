"""The command line in this process, on a data folder of its own and at an hour that only tests move."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from queue_desk import START, Desk

from audobon.cli.main import main


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    """A desk in London on a winter's noon."""
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def run(arguments: tuple[str, ...]) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["audobon", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    before = signal.getsignal(signal.SIGTERM)
    desk = Desk(tmp_path / "data", run)
    monkeypatch.setattr(time, "time", lambda: desk.now)
    desk.now = START
    try:
        yield desk
    finally:
        signal.signal(signal.SIGTERM, before)
        monkeypatch.undo()
        time.tzset()
