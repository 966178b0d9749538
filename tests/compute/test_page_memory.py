"""What a page is told that does not fit, and whether it is tried again; what models are lent together."""

import pytest

from audobon.compute.page_memory import refusal
from audobon.compute.placement import card_peak
from audobon.compute.work import model_names, model_shares, page_load, place
from audobon.errors import Exhausted, MemoryTooSmall
from audobon.models.accounts import Key
from audobon.models.catalogue import card_named
from audobon.models.residency import Residency
from audobon.pages.operations import LettersSettings
from audobon.pages.picture_info import PictureInfo

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("pool", "asked", "kind", "message", "hint"),
    [
        (
            400,
            None,
            MemoryTooSmall,
            "the page needs 475 MB, the engine has 400 MB",
            "start `audobon up`, or the run whose engine it is, with --memory 475MB",
        ),
        (
            400,
            476,
            MemoryTooSmall,
            "the page needs 475 MB, the engine has 400 MB",
            "start `audobon up`, or the run whose engine it is, with --memory 475MB",
        ),
        (
            900,
            300,
            MemoryTooSmall,
            "the page needs 475 MB, the budget is 300 MB",
            "--memory 475MB",
        ),
        (
            900,
            476,
            Exhausted,
            "the page needs 475 MB, and others hold too much of the 900 MB there are",
            "run the same command again",
        ),
    ],
)
def test_only_a_page_that_others_keep_from_its_memory_is_tried_again(
    pool: int, asked: int | None, kind: type[Exhausted], message: str, hint: str
) -> None:
    asked_bytes = None if asked is None else asked * MEGABYTE
    error = refusal(475 * MEGABYTE - 1, pool_bytes=pool * MEGABYTE, asked_bytes=asked_bytes)

    assert (type(error), error.message, error.hint) == (kind, message, hint)
    assert error.retry == (kind is Exhausted)


class Opened:
    """A model that holds all that loading it took."""

    load_seconds = 1.0

    def __init__(self, key: Key) -> None:
        self.held_bytes = card_named(key.name).loading_bytes

    def close(self) -> None:
        """Hold nothing any more."""


def test_the_memory_said_to_be_enough_for_letters_holds_all_their_models_at_once() -> None:
    page = page_load(PictureInfo(width=992, height=1401, mode="RGB", format="PNG"), 1000, None)
    settings = LettersSettings()
    placement = place(page, settings, 1 << 40)
    shares = model_shares(page, settings, card_peak)
    residency: Residency[Opened] = Residency(Opened, budget_bytes=placement.model_bytes)

    for name, share in zip(model_names(settings), shares, strict=True):
        key = Key(name, True, card_named(name).graph_sha256)
        residency.acquire(key, peak_bytes=share, resident_bytes=card_named(name).graph_bytes)

    assert residency.charged_bytes <= placement.model_bytes
