"""What a run says: nothing when told to be quiet, lines in a log, a bar on a terminal."""

import os
import pty
import re
import subprocess

import pytest
from audobon_command import Audobon, settled
from drawn_pages import book_of, drawn

SUMMARY = """\
upscale: 3 pages done, with waifu2x-upconv7-x2
  the resolution noted in each file is kept; --dpi scale keeps the print size instead
result       print.cbz
time         T s, on this machine
peak memory  N MB in all processes
"""


def read_all(terminal: int) -> str:
    data = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # Linux answers so when the last process holding the other side has ended.
            return data.decode()
        if not piece:
            return data.decode()
        data += piece


def shown(stream: str) -> str:
    """Return what is left on a terminal that was sent these characters."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|.", stream, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token.startswith("\x1b"):
            count = int(re.sub(r"\D", "", token) or 1)
            if token[-1] == "A":
                row = max(0, row - count)
            elif token[-1] == "K":
                lines[row] = ""
            else:
                assert token[-1] in "mhl", f"the test knows no {token!r}"
        else:
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines)


def test_quiet_says_nothing_when_all_goes_well(audobon: Audobon) -> None:
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--quiet")

    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_quiet_still_says_what_went_wrong(audobon: Audobon) -> None:
    (audobon.folder / "page.png").write_bytes(b"no picture")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", "--quiet")

    said = "error: page.png: this is not a PNG, JPEG, WebP or TIFF picture\n"
    assert (outcome.status, outcome.out, outcome.err) == (2, "", said)


def test_what_goes_into_a_file_holds_no_escape_codes(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 48, 64)

    outcome = audobon.run("run", "upscale", "fox.cbz", "-o", "print.cbz", env={"TERM": "xterm-256color"})

    assert outcome.status == 0
    assert outcome.told.endswith(SUMMARY)
    assert "\x1b" not in outcome.out + outcome.err
    assert "\r" not in outcome.out + outcome.err


def test_a_terminal_shows_a_bar_that_only_grows_and_leaves_a_clean_screen(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3, 120, 160)
    ours, theirs = pty.openpty()

    process = audobon.start(
        *("run", "upscale", "fox.cbz", "-o", "print.cbz"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"},
    )
    os.close(theirs)
    stream = read_all(ours)
    os.close(ours)

    assert process.wait(10) == 0, stream
    assert "page 1 of 3" in stream
    percentages = [int(found) for found in re.findall(r"(\d+) %", stream)]
    assert len(percentages) > 3
    assert percentages == sorted(percentages)
    assert 0 <= percentages[0] <= percentages[-1] <= 100
    # The cursor is hidden while the bar moves, and comes back.
    assert stream.rfind("\x1b[?25h") > stream.rfind("\x1b[?25l") >= 0
    assert settled(shown(stream)) == "reading 3 files\n" + SUMMARY


def test_a_broken_pipe_ends_the_command_quietly(audobon: Audobon) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    process = audobon.start("models", "list", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize("arguments", [(), ("run",), ("run", "upscale")])
def test_help_is_there_at_every_level(audobon: Audobon, arguments: tuple[str, ...]) -> None:
    outcome = audobon.run(*arguments, "--help")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: audobon")
