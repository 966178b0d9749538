"""Mistakes that somebody could make in infra/, each with the check that must not let it pass."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Mistake(NamedTuple):
    """One text in one file instead of another, and what must be said about it."""

    name: str
    file: str
    old: str
    new: str
    said: str


@contextmanager
def made(infra: Path, *mistakes: Mistake) -> Iterator[None]:
    """Make mistakes in a copy of infra/, and mend them in the end."""
    before: dict[Path, str] = {}
    try:
        for mistake in mistakes:
            path = infra / mistake.file
            text = path.read_text(encoding="utf-8")
            before.setdefault(path, text)
            assert text.count(mistake.old) == 1, f"{mistake.name}: {mistake.file} has changed"
            path.write_text(text.replace(mistake.old, mistake.new), encoding="utf-8")
        yield
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")


_WRITTEN = tomllib.loads((Path(__file__).parent / "mistakes.toml").read_text(encoding="utf-8"))


def mistakes(check: str) -> list[Mistake]:
    """Return the mistakes that one check must find."""
    return [Mistake(**each) for each in _WRITTEN[check]]


def all_mistakes() -> list[Mistake]:
    """Return the mistakes of all checks."""
    return [mistake for check in _WRITTEN for mistake in mistakes(check)]
