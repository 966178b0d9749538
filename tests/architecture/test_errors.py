"""The error tree: drawn as it is, complete in its facts, and written down for scripts."""

import re
from collections.abc import Iterator
from pathlib import Path

from audobon import errors
from audobon.errors import AudobonError, by_code

EXIT_CODES = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"
FACTS = ("code", "http", "exit")

INTRODUCTION = """\
# Exit codes

What a command ends with, and what went wrong. Every error has a `code` for programs; an API answers with
`http`. "Again" says whether the same call may succeed later, unchanged. This page is compared with
`src/audobon/errors.py` by a test; write it anew with
`python tests/architecture/test_errors.py > docs/reference/exit-codes.md`.

With `--json`, a command that ends with an error before it printed its result prints this on standard output:
`{"error": {"code": ..., "message": ..., "hint": ...}}`, with `null` for no hint. The words on standard error
stay. A command that printed its result, such as the report of a run of which some pages failed, prints no
second document: the exit status tells. What is typed wrongly is `invalid_input`. A command that is stopped
ends with 130, and prints nothing, from the moment on that Python has started.

What looks at many things, such as `audobon check` and `audobon backup verify`, ends with 9 when any is
damaged, and with 3 when none is, but a newer Audobon wrote some.

| exit | code | http | again | meaning |
|---:|---|---:|---|---|
| 0 | | 200 | | All was done. |
"""


def tree(kind: type[AudobonError] = AudobonError) -> Iterator[type[AudobonError]]:
    """Yield the classes of the package, depth first, in the order in which they are written."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def drawing(kind: type[AudobonError] = AudobonError, indent: str = "") -> str:
    lines = [kind.__name__]
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    for child in children:
        is_last = child is children[-1]
        branch, trunk = ("└── ", "    ") if is_last else ("├── ", "│   ")
        lines.append(indent + branch + drawing(child, indent + trunk))
    return "\n".join(lines)


def families() -> list[type[AudobonError]]:
    return [kind for kind in tree() if kind.__base__ is AudobonError]


def exit_codes() -> str:
    rows = [
        f"| {kind.exit} | `{kind.code}` | {kind.http} | {'yes' if kind.retry else ''} |"
        f" {str(kind.__doc__).splitlines()[0]} |"
        for kind in sorted(tree(), key=lambda kind: kind.exit)
    ]
    return INTRODUCTION + "\n".join(rows) + "\n"


def test_the_drawing_shows_the_classes_as_they_are() -> None:
    assert drawing() in str(errors.__doc__)


def test_every_error_has_a_code_of_its_own_that_follows_from_its_name() -> None:
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))
    for kind in tree():
        if kind is not AudobonError:
            assert kind.code == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        assert by_code(kind.code) is kind


def test_an_unknown_code_is_just_an_error() -> None:
    assert by_code("no_such_code") is AudobonError


def test_every_family_states_its_code_its_http_status_and_an_exit_code_of_its_own() -> None:
    for family in families():
        assert set(FACTS) <= set(vars(family)), family
    exits = [family.exit for family in families()]
    assert len(exits) == len(set(exits))
    assert {0, AudobonError.exit} & set(exits) == set()


def test_children_end_a_command_as_their_family_does() -> None:
    for family in families():
        assert {kind.exit for kind in tree(family)} == {family.exit}


def test_facts_are_within_what_their_surfaces_can_say() -> None:
    for kind in tree():
        # Shells use 126 and above for themselves.
        assert 0 < kind.exit < 126
        assert kind.http == 207 or 400 <= kind.http < 600
        # "Again later" is what these statuses say; 507 is a disk that somebody may tidy.
        assert not kind.retry or kind.http in {429, 503, 507}


def test_the_page_of_exit_codes_says_what_the_classes_say() -> None:
    assert EXIT_CODES.read_text(encoding="utf-8") == exit_codes()


if __name__ == "__main__":
    print(exit_codes(), end="")
