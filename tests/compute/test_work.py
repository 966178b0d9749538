"""Work keys: equal for work with the same outcome, and only then."""

from collections.abc import Callable

import msgspec
import pytest

from audobon.compute import work as work_module
from audobon.compute.work import (
    Work,
    check_settings,
    loss_db,
    model_names,
    passes_of,
    result_info,
    work_key,
)
from audobon.errors import ModelNotFound, UnknownOperation, UnsupportedPicture
from audobon.models.card import Card, built_in_card
from audobon.pages.operations import (
    OPERATIONS,
    CleanSettings,
    LettersSettings,
    PanelsSettings,
    UpscaleSettings,
    parse_settings,
    settings_identity,
)
from audobon.pages.picture_info import PictureInfo

UPSCALE = OPERATIONS["upscale"]
WORK = Work("upscale", '{"scale":2}', "b" * 64)
INFO = PictureInfo(width=100, height=50, mode="RGB", format="PNG", dpi=(300.0, 200.0))


def test_a_key_is_the_same_each_time_and_a_digest() -> None:
    assert work_key(WORK, UPSCALE) == work_key(WORK, UPSCALE)
    assert len(work_key(WORK, UPSCALE)) == 64


@pytest.mark.parametrize(
    "settings",
    [
        "{}",
        '{ "scale" : 2 }',
        '{"dpi":"keep","model":"waifu2x-upconv7-x2","scale":2}',
        '{"scale":2,"model":"waifu2x-upconv7-x2"}',
        '{"scale":2,"quality":"full"}',
    ],
)
def test_how_settings_are_written_does_not_matter(settings: str) -> None:
    assert work_key(msgspec.structs.replace(WORK, settings=settings), UPSCALE) == work_key(WORK, UPSCALE)


@pytest.mark.parametrize(
    "change",
    [
        {"blob": "c" * 64},
        {"format": "PNG"},
        {"settings": '{"scale":4}'},
        {"settings": '{"scale":2,"dpi":"scale"}'},
        {"settings": '{"scale":2,"model":"waifu2x-cunet-x2"}'},
        {"settings": '{"scale":2,"quality":"draft"}'},
    ],
)
def test_everything_the_outcome_depends_on_changes_the_key(change: dict[str, str]) -> None:
    assert work_key(msgspec.structs.replace(WORK, **change), UPSCALE) != work_key(WORK, UPSCALE)


def test_full_quality_is_known_by_the_words_it_had_before_there_were_drafts() -> None:
    before = '{"dpi":"keep","model":"waifu2x-upconv7-x2","scale":2}'

    assert settings_identity(UpscaleSettings()) == before
    assert settings_identity(parse_settings(UPSCALE, before)) == before
    assert settings_identity(UpscaleSettings(quality="draft")) == (
        '{"dpi":"keep","model":"waifu2x-upconv7-x2","quality":"draft","scale":2}'
    )


def test_a_draft_is_another_model_and_says_how_far_it_is_from_the_full_one() -> None:
    full, draft = UpscaleSettings(), UpscaleSettings(quality="draft")

    assert (model_names(full), loss_db(full)) == (("waifu2x-upconv7-x2",), None)
    assert model_names(draft) == ("waifu2x-upconv7-x2-draft",)
    assert loss_db(draft) == built_in_card("waifu2x-upconv7-x2-draft").loss_db
    # Asked for by its own name, it is a draft all the same.
    by_name = UpscaleSettings(model="waifu2x-upconv7-x2-draft")
    assert (model_names(by_name), loss_db(by_name)) == (model_names(draft), loss_db(draft))
    assert loss_db(CleanSettings()) is None


def test_a_new_version_of_the_operation_changes_the_key() -> None:
    newer = msgspec.structs.replace(UPSCALE, version=UPSCALE.version + 1)
    assert work_key(WORK, newer) != work_key(WORK, UPSCALE)


def test_other_weights_under_the_same_name_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = work_key(WORK, UPSCALE)

    def other_weights(name: str) -> Card:
        return msgspec.structs.replace(built_in_card(name), graph_sha256="0" * 64)

    monkeypatch.setattr(work_module, "card_named", other_weights)
    assert work_key(WORK, UPSCALE) != before


def test_two_operations_with_equal_settings_have_different_keys() -> None:
    letters = Work("letters", '{"order":"ltr"}', "b" * 64)
    panels = Work("panels", '{"order":"ltr"}', "b" * 64)
    assert work_key(letters, OPERATIONS["letters"]) != work_key(panels, OPERATIONS["panels"])


def test_every_operation_names_the_models_it_runs_the_main_one_first() -> None:
    assert model_names(UpscaleSettings(model="waifu2x-cunet-x2")) == ("waifu2x-cunet-x2",)
    assert model_names(CleanSettings(level=3)) == ("waifu2x-cunet-clean3",)
    letters = ("ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser")
    assert model_names(LettersSettings()) == letters
    assert model_names(PanelsSettings()) == ()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (UpscaleSettings(model="no-such-model"), ModelNotFound),
        (UpscaleSettings(model="ppocr-v6-detector"), UnknownOperation),
        (UpscaleSettings(model="realesrgan-x4plus", scale=2), UnknownOperation),
    ],
)
def test_settings_that_can_work_for_no_page_are_refused_at_once(
    settings: UpscaleSettings, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        check_settings(settings)


@pytest.mark.parametrize(
    "settings", [UpscaleSettings(), CleanSettings(), LettersSettings(), PanelsSettings()]
)
def test_the_default_settings_of_every_operation_work(settings: UpscaleSettings) -> None:
    check_settings(settings)


def made(change: Callable[[UpscaleSettings], UpscaleSettings], target: str | None = None) -> PictureInfo:
    settings = change(UpscaleSettings())
    return result_info(INFO, settings, built_in_card(settings.model), target)


def test_the_result_of_a_page_is_known_before_it_is_made() -> None:
    double = made(lambda settings: settings)
    fourfold = made(lambda settings: msgspec.structs.replace(settings, scale=4, dpi="scale"), "TIFF")

    assert double == msgspec.structs.replace(INFO, width=200, height=100)
    assert fourfold == msgspec.structs.replace(
        INFO, width=400, height=200, format="TIFF", dpi=(1200.0, 800.0)
    )
    assert passes_of(UpscaleSettings(scale=4), built_in_card("waifu2x-upconv7-x2")) == 2


def test_a_result_its_format_cannot_hold_is_refused() -> None:
    with pytest.raises(UnsupportedPicture) as caught:
        result_info(
            msgspec.structs.replace(INFO, mode="RGBA"),
            UpscaleSettings(),
            built_in_card("waifu2x-upconv7-x2"),
            "JPEG",
        )
    assert caught.value.message == "JPEG cannot keep transparency"
