"""The cards this process knows: those that ship with Audobon, and those of the user's own models.

One for each process: what is planned in one place must be done with the same cards in another. Nothing is
read before a model is asked for.
"""

from pathlib import Path

from audobon.errors import CorruptModel, ModelNotFound, UnknownOperation
from audobon.models.card import Card, built_in_card, built_in_cards, built_in_names, unknown_model
from audobon.models.own_cards import own_folder, own_names, read_own_card
from audobon.models.removed import removed_models

# What the name of a draft has more than that of its full model.
_DRAFT = "-draft"
_own: list[Path] = []


def use_own_models(models_folder: Path) -> None:
    """Let this process know the user's own models that lie beside a folder of prepared ones."""
    _own[:] = [own_folder(models_folder)]


def card_named(name: str) -> Card:
    """Return the card of a model, a shipped one or the user's own; read anew when it has changed.

    raises  ModelNotFound with the nearest names; CorruptModel when an own model is damaged
    """
    if name in built_in_names():
        return built_in_card(name)
    for folder in _own:
        if (card := read_own_card(folder, name)) is not None:
            return card
        if any(item.name == name for item in removed_models(folder)):
            raise ModelNotFound(f"the model {name} was removed", hint=f"audobon models restore {name}")
    raise unknown_model(name, known_names())


def known_names() -> list[str]:
    """Return the names of all models, damaged ones included: the shipped ones, then the user's own."""
    built_in = built_in_names()
    return [
        *sorted(built_in),
        *(name for folder in _own for name in own_names(folder) if name not in built_in),
    ]


def all_cards() -> dict[str, Card]:
    """Return every card that can be read, by name: the shipped ones, then the user's own."""
    cards = built_in_cards()
    for name in known_names():
        if name not in cards:
            try:
                cards[name] = card_named(name)
            except CorruptModel:
                # Whoever asks for it by name is told; the others do not suffer for it.
                continue
    return cards


def draft_card(name: str) -> Card:
    """Return the card of a model's draft; a draft is its own.

    raises  ModelNotFound, UnknownOperation when there is no draft of the model
    """
    card = card_named(name)
    if card.draft_of is not None:
        return card
    names = built_in_names()
    if card.source is None or f"{name}{_DRAFT}" not in names:
        drafted = sorted(n.removesuffix(_DRAFT) for n in names if n.endswith(_DRAFT))
        raise UnknownOperation(
            f"{name} has no draft",
            hint=f"--quality full, or one of the models with a draft: {', '.join(drafted)}",
        )
    return built_in_card(f"{name}{_DRAFT}")
