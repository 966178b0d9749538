"""The operations there are, and what each may be told."""

import difflib
from typing import Literal

import msgspec

from audobon.errors import UnknownOperation
from audobon.pages.boxes import Order


class UpscaleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to enlarge.

    dpi      keep: the number stays, so the page prints larger; scale: it grows, so the print size stays
    quality  draft: the model's quicker, rougher copy in its place
    """

    scale: Literal[2, 4] = 2
    model: str = "waifu2x-upconv7-x2"
    dpi: Literal["keep", "scale"] = "keep"
    quality: Literal["full", "draft"] = "full"


class CleanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to clean.

    level  0 removes the least noise, 3 the most
    model  one of the user's own in place of the levels'; None: as the level says
    """

    level: Literal[0, 1, 2, 3] = 1
    model: str | None = None


class LettersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read lettering.

    order  direction in which panels and balloons follow each other
    """

    order: Order = "ltr"


class PanelsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to find panels.

    order     direction in which they follow each other
    pictures  cut every panel out as a picture, and draw an overview
    """

    order: Order = "ltr"
    pictures: bool = False


Settings = UpscaleSettings | CleanSettings | LettersSettings | PanelsSettings


class Operation(msgspec.Struct, frozen=True):
    """A named thing done to a page.

    makes    pictures: a page becomes a page; findings: a page becomes JSON
    version  raise it when the same page would come out differently
    """

    name: str
    summary: str
    makes: Literal["pictures", "findings"]
    settings: type[Settings]
    version: int


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("upscale", "enlarge pages two or four times for print", "pictures", UpscaleSettings, 1),
        Operation("clean", "remove scan and JPEG noise, same size", "pictures", CleanSettings, 1),
        Operation(
            "letters", "read the lettering: text, boxes, reading order", "findings", LettersSettings, 1
        ),
        Operation("panels", "find the panels in reading order", "findings", PanelsSettings, 1),
    )
}


def operation_named(name: str) -> Operation:
    """Return an operation; UnknownOperation names the nearest ones when there is none."""
    try:
        return OPERATIONS[name]
    except KeyError:
        near = difflib.get_close_matches(name, OPERATIONS, n=1, cutoff=0.5)
        choice = ", ".join(OPERATIONS)
        raise UnknownOperation(
            f"no operation is named {name!r}; there are {choice}",
            hint=f"did you mean {near[0]}?" if near else None,
        ) from None


def settings_identity(settings: Settings) -> str:
    """Return settings as JSON, equal for equal outcomes and to what it was in earlier versions."""
    facts = msgspec.to_builtins(settings)
    if facts.get("quality") == "full":
        # Newer than work that may still lie in storage: there it was not written, and meant the same.
        del facts["quality"]
    if isinstance(settings, CleanSettings) and settings.model is None:
        # As above.
        del facts["model"]
    return msgspec.json.encode(facts, order="sorted").decode()


def parse_settings(operation: Operation, text: str | bytes) -> Settings:
    """Return the settings written as JSON; UnknownOperation when the operation has no such setting."""
    try:
        return msgspec.json.decode(text, type=operation.settings)
    except msgspec.ValidationError as error:
        raise UnknownOperation(f"{operation.name}: {error}") from error
