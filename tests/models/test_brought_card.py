"""The card a user writes: every fault named at once, nothing guessed."""

from pathlib import Path

import pytest
from made_models import card_text

from audobon.errors import AudobonError, InvalidInput, NotFound
from audobon.models.brought_card import BroughtCard, read_brought_card

SAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "card.toml"


def faults(folder: Path, text: str | bytes) -> str:
    path = folder / "card.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInput) as caught:
        read_brought_card(path)
    assert caught.value.hint == "docs/reference/card.toml shows every key"
    return caught.value.message.removeprefix(f"{path}: ").removeprefix(f"{path} ")


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(card_text())

    assert read_brought_card(tmp_path / "card.toml") == BroughtCard(
        name="doubler",
        title="A small doubler",
        task="upscale",
        scale=2,
        licence="CC0-1.0",
        origin="made for a test",
        attribution="",
        description="",
        colour="RGB",
        edges="own",
        padding_px=16,
        multiple_px=1,
        tile_exact=True,
        tile_px=192,
    )


def test_the_sample_card_shows_every_key(tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8")

    assert read_brought_card(SAMPLE).name == "sketch-x2"
    shown = {line.split(" = ")[0] for line in text.splitlines() if " = " in line and not line.startswith("#")}
    assert shown == set(BroughtCard.__struct_fields__)


def test_every_fault_is_named_with_the_nearest_key(tmp_path: Path) -> None:
    text = card_text(colour="CMYK", padding=3, scale="two").replace("origin", "orgin")

    assert faults(tmp_path, text) == (
        "unknown key 'orgin' (nearest: origin); unknown key 'padding' (nearest: padding_px);"
        " scale: Expected `int`, got `str`; origin is missing; colour: Invalid enum value 'CMYK'"
    )


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"scale": 3}, "scale: 2 or 4 for the task upscale, not 3"),
        ({"task": "clean"}, "scale: 1 for the task clean, not 2"),
        ({"padding_px": 1000}, "padding_px must lie between 0 and 128"),
        ({"tile_px": 4}, "tile_px must lie between 32 and 1024"),
        ({"multiple_px": 0}, "multiple_px must lie between 1 and 64"),
        ({"multiple_px": 2}, 'edges "own" goes with multiple_px 1 only'),
        ({"licence": " "}, "licence is empty"),
        ({"title": r"a\u001b[2J"}, "title: one line of at most 2000 characters, without control characters"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, values: dict[str, object], fault: str) -> None:
    assert faults(tmp_path, card_text(**values)) == fault


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a--b", "-a", "a.b", "a b", "é", "a" * 65, ".trash"])
def test_a_name_is_small_letters_digits_and_dashes(tmp_path: Path, name: str) -> None:
    assert faults(tmp_path, card_text(name)) == (
        "name: small letters, digits and single dashes between them, 64 at most"
    )


def test_the_name_of_a_model_that_ships_is_taken(tmp_path: Path) -> None:
    assert faults(tmp_path, card_text("waifu2x-cunet-x2")) == (
        "name: waifu2x-cunet-x2 is a model that ships with Audobon; choose another"
    )


@pytest.mark.parametrize("text", [b"\xff\xfe", b"name = ", b"\0" * 100, b"a = " + b"[" * 30_000])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: bytes) -> None:
    assert faults(tmp_path, text).startswith("is no TOML: ")


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    assert faults(tmp_path, b"#" * 100_000) == "is too large to be a card"


def test_a_card_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_brought_card(tmp_path / "none.toml")
    with pytest.raises(AudobonError):
        read_brought_card(tmp_path)
