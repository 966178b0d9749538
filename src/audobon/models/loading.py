"""Loads a prepared model, proving meanwhile that none of its bytes has changed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audobon.errors import CorruptModel
from audobon.models.card import Card
from audobon.models.preparing import prepare_apart
from audobon.models.runtime import LoadedModel
from audobon.models.store import is_intact, is_prepared, prepared_path


def load(card: Card, models_folder: Path, *, threads: int, arena: bool) -> LoadedModel:
    """Return a model ready to run, preparing it first when it was not or a byte has changed.

    The bytes are hashed on another core while the session is built, so proving them costs next to no
    time; no answer is given before they are proved. The prepared copy is derived from a source whose digest
    is checked before use: this guards against a failing disk, not against who may write to the folder.
    raises  ModelNotFound when the model's package is missing, CorruptModel
    """
    if not is_prepared(card, models_folder):
        prepare_apart(card, models_folder)
    model = _load_intact(card, models_folder, threads=threads, arena=arena)
    if model is None:
        prepare_apart(card, models_folder)
        model = _load_intact(card, models_folder, threads=threads, arena=arena)
    if model is None:
        raise CorruptModel(f"{card.name} was prepared and is damaged already", hint="check the disk")
    return model


def _load_intact(card: Card, models_folder: Path, *, threads: int, arena: bool) -> LoadedModel | None:
    with ThreadPoolExecutor(max_workers=1) as other_core:
        proof = other_core.submit(is_intact, card, models_folder)
        try:
            model = LoadedModel(prepared_path(card, models_folder), threads=threads, arena=arena)
        except CorruptModel:
            if proof.result():
                raise
            return None
        if proof.result():
            return model
        model.close()
        return None
