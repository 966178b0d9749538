"""The reader of the runbooks: what it finds in a page, and what it lets pass."""

import pytest
from page import Step, difference, steps

PAGE = """\
# A page

Words.

```console
$ audobon backup list
place … newest
…
$ audobon doctor  # look at the last line
all is well
```

```sh
not a step
```

```console
$ true
```
"""


def test_a_page_gives_its_commands_with_what_they_print_and_where_they_stand() -> None:
    assert steps(PAGE) == [
        Step("audobon backup list", ("place … newest", "…"), 6),
        Step("audobon doctor", ("all is well",), 9),
        Step("true", (), 18),
    ]


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        (("done",), "done\n"),
        (("restored … pages",), "restored 12 pages\n"),
        (("first", "…", "last"), "first\nlast\n"),
        (("first", "…", "last"), "first\n1\n2\nlast\n"),
        (("…",), ""),
        (("…",), "a\nb\n"),
        (("…", "end"), "end\n"),
        (("begin", "…"), "begin\n"),
        ((), ""),
    ],
)
def test_what_fits_the_page_passes(said: tuple[str, ...], printed: str) -> None:
    assert difference(printed, Step("c", said, 1)) is None


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        (("done",), "done, nearly\n"),
        (("done",), ""),
        ((), "surprise\n"),
        (("restored … pages",), "restored\n12 pages\n"),
        (("first", "…", "last"), "first\n1\n"),
        (("a.c",), "abc\n"),
    ],
)
def test_what_differs_from_the_page_is_shown_beside_it(said: tuple[str, ...], printed: str) -> None:
    told = difference(printed, Step("c", said, 1))
    assert told is not None
    assert "printed was:" in told
