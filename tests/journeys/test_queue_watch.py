"""`audobon queue watch` beside a real engine: on a terminal, in a pipe, through restarts."""

import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audobon_command import Audobon, wait_until
from drawn_pages import book_of

MODEL = "waifu2x-upconv7-x2"
PAGES = [f"page{number}.png" for number in (1, 2, 3)]


class Terminal:
    """A terminal of 100 by 30 cells with a command at it, and somebody who reads along."""

    def __init__(self, audobon: Audobon, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 100))
        self.process = audobon.start(
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"TERM": "xterm-256color"},
            # So that Ctrl-C reaches it, and nobody else.
            preexec_fn=lambda: os.login_tty(theirs),
        )
        os.close(theirs)
        self._data = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self._data += os.read(self._ours, 65536)
            except OSError:
                # Linux answers so when the last process at the other side has ended.
                return

    @property
    def stream(self) -> str:
        """All that was written."""
        return self._data.decode(errors="replace")

    def frames(self) -> list[list[str]]:
        """Return each screen that was drawn whole, as lines without colours."""
        drawn = self.stream.split("\x1b[H")[1:-1]
        plain = [re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", frame).replace("\r", "") for frame in drawn]
        return [[line.rstrip() for line in frame.split("\n")] for frame in plain]

    def wait_for(self, pattern: str) -> None:
        """Return when the last screen has a line like this."""

        def is_there() -> bool:
            frames = self.frames()
            return bool(frames) and any(re.fullmatch(pattern, line) for line in frames[-1])

        wait_until(is_there, f"the screen has a line like {pattern!r}")

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        """Return when the command has ended and all it wrote was read."""
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._ours)


@contextmanager
def engine(audobon: Audobon) -> Iterator["subprocess.Popen[str]"]:
    process = audobon.start("up", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert "is running" in process.stderr.readline()
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_a_watch_sees_a_book_from_an_empty_folder_through_a_new_engine_to_the_end(audobon: Audobon) -> None:
    # given
    book_of(audobon.folder / "fox.cbz", 3, 480, 640)
    terminal = Terminal(audobon, "queue", "watch", "--interval", "0.1s")
    terminal.wait_for(r"nothing was ever enqueued here; waiting\. Ctrl-C ends this\.")

    # when
    with engine(audobon) as first:
        terminal.wait_for(rf"engine: pid {first.pid}; no worker, which starts when there is work")
        run = audobon.start("run", "upscale", "fox.cbz", "-o", "print.cbz", "--quiet")
        terminal.wait_for(r"\d\d:\d\d:\d\d  1  upscale fox\.cbz/page1\.png  done in .* s")
        first.kill()
        first.wait(10)
    assert audobon.outcome(run).status == 0
    with engine(audobon) as second:
        terminal.wait_for(rf"engine: pid {second.pid}; .*")
        terminal.press(b"\x03")
        terminal.close()

    # then
    at_work = re.compile(rf"   ━*─* +\d+ % +[\d.]+ s +\d+ MB  pid \d+  {MODEL}")
    frames = [frame for frame in terminal.frames() if any(at_work.fullmatch(line) for line in frame)]
    assert frames
    for frame in frames:
        row = next(number for number, line in enumerate(frame) if at_work.fullmatch(line))
        assert re.match(r"\d+  upscale fox\.cbz/page\d\.png", frame[row - 1])
    last = terminal.frames()[-1]
    assert last[0].endswith("Ctrl-C ends this")
    happened = last[last.index("what happened") :]
    for page in PAGES:
        assert any(re.search(rf"upscale fox\.cbz/{page}  done in ", line) for line in happened), happened
    assert terminal.process.returncode == 130
    # The screen that was there before comes back, with its cursor.
    assert terminal.stream.rfind("\x1b[?1049l") > terminal.stream.rfind("\x1b[?1049h") >= 0
    assert terminal.stream.rfind("\x1b[?25h") > terminal.stream.rfind("\x1b[?25l")
    assert "Traceback" not in terminal.stream


def test_a_log_of_a_watch_has_a_line_for_each_change(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3)
    # The watch begins with a database, whoever of the two is quicker.
    audobon.run("queue", "resume", "--all")
    log = audobon.folder / "log"
    with log.open("w") as file:
        watch = audobon.start("queue", "watch", "--interval", "0.1s", stdout=file)
    assert audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz", "--quiet").status == 0

    wait_until(lambda: log.read_text().count("  done in ") == 3, "all pages are told")
    wait_until(
        lambda: "batch  running: 0 ready, 0 waiting, 0 at work" in _last(log, "batch"), "the end is told"
    )
    watch.terminate()
    outcome = audobon.outcome(watch)

    # The line after the ^C that a terminal shows.
    assert (outcome.status, outcome.err) == (130, "\n")
    lines = log.read_text().splitlines()
    for page in PAGES:
        (line,) = [line for line in lines if f"upscale fox.cbz/{page}  done in" in line]
        assert re.fullmatch(rf"\d\d:\d\d:\d\d  task \d  upscale fox\.cbz/{page}  done in [\d.]+ s", line)
    assert "\x1b" not in log.read_text()


def _last(log: Path, queue: str) -> str:
    return ([line for line in log.read_text().splitlines() if f"  {queue}  " in line] or [""])[-1]


def test_the_json_of_a_watch_tells_of_every_page(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3)
    log = audobon.folder / "log"
    with log.open("w") as file:
        watch = audobon.start("queue", "watch", "--json", "--interval", "0.1s", stdout=file)
    assert audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz", "--quiet").status == 0

    wait_until(lambda: log.read_text().count('"state":"done"') == 3, "all pages are told")
    watch.send_signal(signal.SIGINT)
    outcome = audobon.outcome(watch)

    assert (outcome.status, outcome.err) == (130, "\n")
    changes = [json.loads(line) for line in log.read_text().splitlines()]
    done = [each["task"] for each in changes if each["change"] == "task" and each["task"]["state"] == "done"]
    assert sorted(task["page"] for task in done) == PAGES
    assert {"queue", "task"} <= {each["change"] for each in changes}


def test_a_watch_whose_reader_has_gone_ends_quietly(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 1)
    assert audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz", "--quiet").status == 0
    watch = audobon.start("queue", "watch", "--json", "--interval", "0.1s")
    assert watch.stdout is not None
    assert json.loads(watch.stdout.readline())["change"] == "engine"

    watch.stdout.close()
    audobon.run("queue", "pause", "batch")

    assert watch.wait(20) in (0, 1)
    assert watch.stderr is not None
    assert watch.stderr.read() == ""
    watch.stderr.close()


def test_a_watch_goes_over_to_a_database_that_takes_the_place_of_another(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 1)
    assert audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz", "--quiet").status == 0
    terminal = Terminal(audobon, "queue", "watch", "--interval", "0.1s")
    terminal.wait_for(r".*upscale fox\.cbz/page1\.png  done in .*")

    for path in audobon.data.glob("audobon.db*"):
        path.unlink()
    terminal.wait_for(r"nothing was ever enqueued here; waiting\. Ctrl-C ends this\.")
    assert audobon.run("recovery", "mend").status == 0
    assert audobon.run("queue", "pause", "batch").status == 0
    terminal.wait_for(r"batch +paused .*")
    terminal.press(b"\x03")
    terminal.close()

    assert terminal.process.returncode == 130
