"""What a folder offers to compare with, and how the scores come out; real models are small ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audobon.errors import AudobonError, DocumentNotFound, InvalidInput, UnreadablePicture
from audobon.models.card import Card, built_in_card
from audobon.models.scores import PictureScore, TextScore, Validation, medians
from audobon.models.validate_report import validation_page
from audobon.models.validate_runs import LetteredPage, Pair
from audobon.models.validation import find_pages, find_pairs, validate
from audobon.pages.picture_limits import PictureLimits

LIMITS = PictureLimits(10_000_000, 1_000_000, 2000)
CLEANER = built_in_card("waifu2x-cunet-clean0")


def picture(path: Path, width: int = 64, height: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    waves = 128 + 100 * np.sin(x / 5) * np.cos(y / 7)
    Image.fromarray(np.dstack([waves, waves[::-1], 255 - waves]).astype(np.uint8)).save(path)
    return path


def check(folder: Path, models_folder: Path, name: str = "waifu2x-upconv7-x2", **options: bool) -> Validation:
    return validate(name, models_folder, folder, letter_models=(), limits=LIMITS, **options)


def test_pairs_go_by_name_whatever_their_endings_in_natural_order(tmp_path: Path, default_card: Card) -> None:
    for name in ("page-10", "page-2"):
        picture(tmp_path / "input" / f"{name}.png")
        picture(tmp_path / "reference" / f"{name}.webp")
    assert find_pairs(tmp_path, default_card) == [
        Pair(
            f"{name}.webp",
            str(tmp_path / "reference" / f"{name}.webp"),
            str(tmp_path / "input" / f"{name}.png"),
        )
        for name in ("page-2", "page-10")
    ]


@pytest.mark.parametrize("place", [".", "reference"])
def test_references_alone_are_enough_for_a_model_that_enlarges(
    tmp_path: Path, default_card: Card, place: str
) -> None:
    path = picture(tmp_path / place / "a.png")
    assert find_pairs(tmp_path, default_card) == [Pair("a.png", str(path))]


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path, default_card: Card) -> None:
    def complaint(card: Card) -> tuple[str, str]:
        with pytest.raises(DocumentNotFound) as caught:
            find_pairs(tmp_path, card)
        return caught.value.message, caught.value.hint or ""

    message, hint = complaint(default_card)
    assert message == f"{tmp_path} holds no references"
    assert str(tmp_path / "reference") in hint
    picture(tmp_path / "reference" / "a.png")
    message, hint = complaint(CLEANER)
    assert message == "waifu2x-cunet-clean0 cleans, so a reference alone tells nothing"
    picture(tmp_path / "input" / "b.png")
    assert complaint(default_card)[0] == f"a is missing in {tmp_path / 'input'}"
    picture(tmp_path / "reference" / "a.webp")
    with pytest.raises(InvalidInput, match="one name, twice"):
        find_pairs(tmp_path, default_card)


def test_pages_are_those_that_the_lettering_tells_of(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (tmp_path / "lettering.json").write_text('{"a.png": {"balloons": ["Hi!"], "panels": 3}}')
    assert find_pages(tmp_path) == [LetteredPage("a.png", str(path), ("Hi!",))]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read"),
        ("{}", "tells of no page"),
        ('{"gone.png": {"balloons": []}}', "gone.png of .* is not in"),
        ('{"../a.png": {"balloons": []}}', "is not in"),
    ],
)
def test_lettering_that_does_not_fit_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "lettering.json").write_text(text)
    with pytest.raises(AudobonError, match=complaint):
        find_pages(tmp_path / "folder")


def test_a_picture_is_scored_beside_lanczos_and_its_worst_part_is_cut_out(
    tmp_path: Path, models_folder: Path
) -> None:
    picture(tmp_path / "a.png", 201, 181)

    found = check(tmp_path, models_folder, has_crops=True)

    [score] = found.pictures
    assert (score.name, score.width, score.height) == ("a.png", 200, 180)
    assert score.psnr_db > 25
    assert 0.9 < score.ssim <= 1
    assert score.plain_psnr_db > 25
    assert [len(crop) > 100 for crop in score.crops] == [True] * 3
    page = validation_page(found, worst=1)
    assert page.count("data:image/png;base64,") == 3
    assert "default-src 'none'" in page
    assert validation_page(found, worst=0).count("data:image") == 0


def test_a_reference_of_another_size_and_a_damaged_picture_are_named(
    tmp_path: Path, models_folder: Path
) -> None:
    picture(tmp_path / "input" / "a.png", 20, 20)
    reference = picture(tmp_path / "reference" / "a.png", 40, 42)
    with pytest.raises(
        InvalidInput, match=r"a.png: the reference is 40×42, waifu2x-upconv7-x2 makes 40×40 of the input"
    ):
        check(tmp_path, models_folder)
    reference.write_bytes(b"no picture")
    with pytest.raises(UnreadablePicture, match=r"reference/a.png: this is not a PNG"):
        check(tmp_path, models_folder)


def scored(name: str, psnr: float, plain: float) -> PictureScore:
    return PictureScore(name, 8, 8, psnr, 0.9, plain, 0.8, 1.0)


def test_the_median_gain_is_that_of_the_pictures_and_no_difference_of_medians() -> None:
    pictures = (scored("a", 30, 20), scored("b", 35, 33), scored("c", 40, 21))
    assert medians(pictures) == (35, 0.9, 21, 0.8, 10)
    assert Validation("m", pictures).median_psnr_db == 35


def test_text_is_scored_by_balloons_and_by_characters() -> None:
    pages = (
        TextScore("b", ("Hallo", "Bye"), ("Hello", "Bye"), errors=1, characters=9, exact=1, seconds=1),
        TextScore("a", ("Hi",), ("Hi",), errors=0, characters=2, exact=1, seconds=1),
    )
    found = Validation("m", pages=pages)
    assert found.exact_percent == pytest.approx(200 / 3)
    assert found.error_rate == pytest.approx(1 / 11)
    page = validation_page(found, worst=2)
    assert "67 % of the balloons to the letter" in page
    assert "<td>read: Hallo<br>Bye</td>" in page
    assert json.dumps("<")[1] not in page.split("read:")[1].split("<br>")[0]
