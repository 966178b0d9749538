"""The repository holds what it promises, and nothing that ties it to one machine."""

import fnmatch
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REQUIRED = [
    "README.md",
    "ARCHITECTURE.md",
    "GLOSSARY.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "NOTICE",
    "Makefile",
    ".ci/run",
    "docs/decisions",
]

# Written so that this file does not match itself.
PLACES_OF_ONE_MACHINE = re.compile(r"(?<![\w.~/-])/(?:home|root|Users)/[\w.-]")
INDEX_ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host")


def ignored(path: Path, patterns: list[str]) -> bool:
    relative = "/" + path.relative_to(ROOT).as_posix()
    for pattern in [".git", *patterns]:
        if pattern.endswith("/") and not path.is_dir():
            continue
        name = pattern.rstrip("/")
        if fnmatch.fnmatch(relative, name if name.startswith("/") else f"*/{name}"):
            return True
    return False


def kept_files(folder: Path = ROOT) -> Iterator[Path]:
    """Yield the files of the repository, without what .gitignore names; works without git as well."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for path in sorted(folder.iterdir()):
        if ignored(path, patterns):
            continue
        if path.is_dir():
            yield from kept_files(path)
        elif path.is_file():
            yield path


def text_of(path: Path) -> str:
    """Return the text of a file; nothing if it is no text."""
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8", errors="replace")


def lock_files() -> list[Path]:
    return [
        path
        for path in kept_files()
        if path.suffix == ".lock"
        or re.fullmatch(r"(requirements|lock).*\.txt", path.name)
        or (path.suffix == ".txt" and path.parent.name == "requirements")
    ]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_file_is_there_and_not_empty(name: str) -> None:
    path = ROOT / name
    assert path.exists()
    assert any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0


def test_lock_files_are_there_and_pin_hashes() -> None:
    assert lock_files()
    for path in lock_files():
        assert "--hash=sha256:" in text_of(path), path


def test_lock_files_hold_no_address_of_an_index() -> None:
    assert {path: found for path in lock_files() if (found := INDEX_ADDRESS.search(text_of(path)))} == {}


def test_no_file_names_a_place_on_one_machine() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): match.group()
        for path in kept_files()
        if (match := PLACES_OF_ONE_MACHINE.search(text_of(path)))
    }
    assert found == {}


def test_the_rule_on_places_has_teeth() -> None:
    for place in ("home", "root", "Users"):
        assert PLACES_OF_ONE_MACHINE.search(f'folder = "/{place}/somebody"')
    assert not PLACES_OF_ONE_MACHINE.search("https://example.org/home/page and /srv/root/x")


def test_every_model_card_is_named_in_the_notice() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    cards = sorted((ROOT / "src" / "audobon" / "models" / "cards").glob("*.toml"))
    names = [tomllib.loads(card.read_text(encoding="utf-8"))["name"] for card in cards]
    assert names
    assert [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", notice)] == []
