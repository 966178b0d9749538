"""The variables and outputs of modules and stages, as tables in their README.

After a change:

    .venv/bin/python tests/infra/tables.py
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from offline import INFRA

BEGIN = "<!-- variables and outputs: made by tests/infra/tables.py -->"
END = "<!-- end of variables and outputs -->"

# `terraform fmt` is checked, so a block begins and ends in the first column and its fields in the third.
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) *= *(<<-(\w+)\n[\s\S]*?^ *\3$|.*(?:\n(?!  [\w}]).*)*)", re.MULTILINE)
_HEREDOC = re.compile(r"^<<-(\w+)\n(.*?)\n\s*\1$", re.DOTALL)


class Entry(NamedTuple):
    """A variable or an output."""

    kind: str
    name: str
    description: str
    type: str
    default: str | None


def folders() -> list[Path]:
    """Return every folder that is a module or a stage, or makes what those need."""
    return sorted({path.parent for path in INFRA.rglob("versions.tf")})


def entries(folder: Path) -> Iterator[Entry]:
    """Yield what a folder declares, in the order of its files."""
    for path in sorted(folder.glob("*.tf")):
        for kind, name, body in _BLOCK.findall(path.read_text(encoding="utf-8")):
            fields = {field: text.strip() for field, text, _ in _FIELD.findall(body)}
            yield Entry(
                kind,
                name,
                _text(fields.get("description", "")),
                fields.get("type", ""),
                fields.get("default"),
            )


def _text(written: str) -> str:
    heredoc = _HEREDOC.match(written)
    text = heredoc.group(2) if heredoc else written.strip('"').replace('\\"', '"')
    return " ".join(text.split())


def _short(written: str) -> str:
    """Return a type or value on one line; what lies in braces is told by the description."""
    flat = " ".join(written.split())
    if len(flat) <= 40:
        return f"`{flat}`"
    if written.startswith("{"):
        return "(see the file)"
    return f"`{re.sub(r'[({].*', lambda found: '(…)' if found.group().startswith('(') else '{…}', flat)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(folder: Path) -> str:
    """Return both tables, between the marks that hold their place."""
    found = list(entries(folder))
    variables = [each for each in found if each.kind == "variable"]
    outputs = [each for each in found if each.kind == "output"]
    lines = [BEGIN]
    if variables:
        lines += ["", "## Variables", "", "| name | type | default | |", "|---|---|---|---|"]
        for each in sorted(variables, key=lambda each: each.name):
            default = "required" if each.default is None else _short(each.default)
            cells = [f"`{each.name}`", _short(each.type), default, each.description]
            lines.append(f"| {' | '.join(map(_cell, cells))} |")
    if outputs:
        lines += ["", "## Outputs", "", "| name | |", "|---|---|"]
        for each in sorted(outputs, key=lambda each: each.name):
            lines.append(f"| `{each.name}` | {_cell(each.description)} |")
    return "\n".join([*lines, "", END, ""])


def with_table(text: str, folder: Path) -> str:
    """Return the text of a README with its tables as the HCL has them now."""
    before, mark, rest = text.partition(BEGIN)
    if not mark:
        return text.rstrip("\n") + "\n\n" + table(folder)
    return before + table(folder) + rest.partition(END + "\n")[2]


def main() -> None:
    """Write the tables into every README under infra/."""
    for folder in folders():
        readme = folder / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.exists() else f"# {folder.name}\n"
        readme.write_text(with_table(text, folder), encoding="utf-8")


if __name__ == "__main__":
    main()
