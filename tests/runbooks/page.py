"""A page of the runbooks as a program reads it: its commands, and what each is said to print.

A block marked `console` holds commands, each after `$ `, and below it what they print. `…` in a printed line
stands for any text, a line of `…` alone for any lines. Text after `# ` on a command's line is for people.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ANY = "…"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A command of a page.

    printed  the lines it is said to print, output and complaints together
    line     where it stands in the page
    """

    command: str
    printed: tuple[str, ...]
    line: int


def steps(text: str) -> list[Step]:
    """Return the commands of a page in their order."""
    found: list[Step] = []
    for block in _BLOCK.finditer(text):
        first_line = text[: block.start(1)].count("\n") + 1
        for offset, line in enumerate(block[1].splitlines()):
            if line.startswith("$ "):
                found.append(Step(line[2:].split("  # ")[0].strip(), (), first_line + offset))
            else:
                assert found, f"line {first_line + offset}: a block begins with its command"
                last = found.pop()
                found.append(Step(last.command, (*last.printed, line), last.line))
    return found


def difference(printed: str, step: Step) -> str | None:
    """Return how what a command printed differs from what the page says; None when it does not."""
    actual = [line.rstrip() for line in printed.rstrip("\n").splitlines()]
    # Every line ends alike, so that the mark alone may stand for none.
    pattern = "".join(_pattern(line.rstrip()) for line in step.printed)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in actual)):
        return None
    return "\n".join(["the page says:", *step.printed, "printed was:", *actual])


def _pattern(line: str) -> str:
    if line == ANY:
        return "(?:[^\n]*\n)*"
    return "[^\n]*".join(re.escape(part) for part in line.split(ANY)) + "\n"


def title(path: Path) -> str:
    """Return the first heading of a page."""
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
