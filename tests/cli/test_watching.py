"""What a person at a terminal sees of a job: lines stand above the bar, never within it."""

import re

import pytest

from audobon.cli.watching import BarWatcher, LineWatcher
from audobon.jobs.report import Counts, PageReport

CALLED_OFF = PageReport("2.png", "failed", code="cancelled", message="cancelled by `audobon queue cancel`")


def test_what_is_said_beside_the_bar_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    watcher = BarWatcher()
    watcher.stage("reading 2 files")
    watcher.started("job", 2, 0)
    watcher.tick(Counts(2, 0, 0, 1, 4))
    watcher.stage("waiting: the queue batch is paused (audobon queue resume batch)")
    watcher.page(CALLED_OFF)
    watcher.close()

    err = capsys.readouterr().err
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip("\r") for line in err.splitlines()]
    assert lines[0] == "reading 2 files"
    assert "waiting: the queue batch is paused (audobon queue resume batch)" in lines
    assert "2.png  called off: cancelled by `audobon queue cancel`" in lines


def test_a_page_that_was_called_off_did_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = LineWatcher()
    watcher.started("job", 2, 0)
    watcher.page(PageReport("1.png", "failed", code="unreadable_picture", message="cut off"))
    watcher.page(CALLED_OFF)

    assert capsys.readouterr().err == (
        "[1/2]  1.png  FAILED: cut off\n[2/2]  2.png  called off: cancelled by `audobon queue cancel`\n"
    )
