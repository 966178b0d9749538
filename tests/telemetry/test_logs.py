"""The log tells its owner what happened, and nobody else whose pages they were."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest

from audobon.config import keyrings_folder
from audobon.errors import WrongPassphrase
from audobon.keys.service import Keys
from audobon.keys.unlocking import open_keys
from audobon.telemetry.log_reading import read_log
from audobon.telemetry.logs import Log, seal_old_lines


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    with closing(open_keys(tmp_path, unlock_folder=keyrings_folder())) as keys:
        yield keys


@pytest.fixture
def open_log(tmp_path: Path, keys: Keys) -> Iterator[Callable[[], Log]]:
    """Return a log that is closed when the test ends."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(Log(tmp_path, keys.seal_text, level="info")))


def told(folder: Path, keys: Keys) -> list[dict[str, object]]:
    """Return the events without their instants."""
    return [
        {name: value for name, value in event.items() if name != "at"}
        for event in read_log(folder, keys.unseal_text)
    ]


def log_file(folder: Path) -> Path:
    return folder / "logs" / "audobon.jsonl"


def test_names_are_sealed_in_the_file_and_figures_ids_and_codes_are_not(
    tmp_path: Path, keys: Keys, open_log: Callable[[], Log]
) -> None:
    log = open_log()
    log.write("page", "page failed", level="error", job="7", page="fox.png", code="corrupt", attempt=2)
    log.write("worker", "worker died", words="no such file: /books/fox.cbz", pages=["fox.png", "hare.png"])

    lines = log_file(tmp_path).read_bytes()
    assert b"fox" not in lines
    assert b"hare" not in lines
    first = msgspec.json.decode(lines.splitlines()[0])
    assert {name: first[name] for name in ("job", "code", "attempt", "event", "category", "level")} == {
        "job": "7", "code": "corrupt", "attempt": 2,
        "event": "page failed", "category": "page", "level": "error",
    }  # fmt: skip
    assert told(tmp_path, keys) == [
        {
            "event": "page failed", "category": "page", "level": "error",
            "job": "7", "page": "fox.png", "code": "corrupt", "attempt": 2,
        },
        {
            "event": "worker died", "category": "worker", "level": "info",
            "words": "no such file: /books/fox.cbz", "pages": '["fox.png","hare.png"]',
        },
    ]  # fmt: skip


def test_of_one_who_was_erased_only_that_is_told(
    tmp_path: Path, keys: Keys, open_log: Callable[[], Log]
) -> None:
    fox = keys.subject("the fox")
    log = open_log()
    log.write("page", "page done", subject=fox, page="fox.png")
    keys.erase(fox)
    log.write("page", "page done", subject=fox, page="late.png")

    assert [event["page"] for event in told(tmp_path, keys)] == ["erased", "erased"]


def test_a_line_that_was_changed_or_torn_does_not_end_the_reading(
    tmp_path: Path, keys: Keys, open_log: Callable[[], Log]
) -> None:
    log = open_log()
    log.write("page", "page done", page="fox.png")
    log.write("page", "page done", page="hare.png")
    first, second = log_file(tmp_path).read_bytes().splitlines()
    swapped = first.replace(b'"page":"s1.', b'"source":"s1.')
    log_file(tmp_path).write_bytes(swapped + b"\n" + second[:30] + b"\n" + second + b"\n")

    one, two = told(tmp_path, keys)
    assert (one["source"], two["page"]) == ("unreadable", "hare.png")


def test_lines_of_before_are_sealed_and_told_alike(tmp_path: Path, keys: Keys) -> None:
    line = b'{"event":"page done","category":"page","job":"7","page":"s1.png","seconds":1.5}\n'
    log_file(tmp_path).parent.mkdir()
    for ending in ("", ".2"):
        Path(f"{log_file(tmp_path)}{ending}").write_bytes(line * 2)
    before = told(tmp_path, keys)

    assert seal_old_lines(tmp_path, keys.seal_text) == 4
    assert seal_old_lines(tmp_path, keys.seal_text) == 0

    assert told(tmp_path, keys) == before
    assert all(b"s1.png" not in path.read_bytes() for path in log_file(tmp_path).parent.iterdir())


def test_following_goes_on_with_what_is_written_and_where_the_file_is_turned(
    tmp_path: Path, keys: Keys, open_log: Callable[[], Log]
) -> None:
    log = open_log()
    log.write("page", "page done", page="one")
    deeds = iter(
        (
            lambda: log.write("page", "page done", page="two"),
            lambda: log_file(tmp_path).rename(tmp_path / "logs" / "audobon.jsonl.1"),
            lambda: open_log().write("page", "page done", page="three"),
        )
    )
    events = read_log(tmp_path, keys.unseal_text, follow=True, rest=lambda _: next(deeds)())
    assert [event["page"] for event in itertools.islice(events, 3)] == ["one", "two", "three"]


def test_an_event_is_told_without_its_words_while_the_keyring_is_locked(tmp_path: Path) -> None:
    def locked(subject: str, text: str, *, context: bytes) -> str:
        raise WrongPassphrase("the keyring is locked")

    with closing(Log(tmp_path, locked, level="info")) as log:
        log.write(
            "database", "news of the database", level="warning", words="/books/fox.cbz is full", tries=2
        )
    (line,) = log_file(tmp_path).read_bytes().splitlines()
    written = msgspec.json.decode(line)
    assert (written["words"], written["tries"]) == ("not written: the keyring was locked", 2)
