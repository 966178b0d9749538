"""Models of a user's own as they lie in the data folder, without the work of trying them."""

import hashlib
from pathlib import Path

import msgspec

from audobon.models.admit_messages import UNMEASURED
from audobon.models.card import Card, built_in_card
from audobon.models.own_cards import graph_path, own_folder, read_own_card
from audobon.models.own_models import OwnModels


def own_card(data: bytes, name: str = "sketch", **values: object) -> Card:
    """Return the card of a model that consists of these bytes, which nobody may run."""
    shipped = built_in_card("waifu2x-upconv7-x2")
    return msgspec.structs.replace(
        shipped,
        name=name,
        source=None,
        graph_sha256=hashlib.sha256(data).hexdigest(),
        graph_bytes=len(data),
        memory=UNMEASURED,
        **values,  # type: ignore[arg-type]
    )


def publish(own: OwnModels, data: bytes, name: str = "sketch", *, replace: bool = False) -> Card:
    """Add a model of these bytes."""
    card = own_card(data, name)
    with own.staging(name) as folder:
        graph = graph_path(folder, card)
        graph.parent.mkdir()
        graph.write_bytes(data)
        own.publish(card, folder, replace=replace)
    return card


def bytes_of(models_folder: Path, name: str = "sketch") -> bytes | None:
    """Return the bytes of a model, checked against its card; None when there is none."""
    card = read_own_card(own_folder(models_folder), name)
    if card is None:
        return None
    assert card.file is not None
    data = Path(card.file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == card.graph_sha256
    return data
