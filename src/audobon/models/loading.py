"""Loads a prepared model, proving meanwhile that none of its bytes has changed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from audobon.errors import CorruptModel, Misconfigured, Unavailable
from audobon.models.card import Card
from audobon.models.devices import Choice, Devices, Wanted, predict_vram
from audobon.models.meter import METER
from audobon.models.preparing import prepare_apart
from audobon.models.running import Running
from audobon.models.runtime import LoadedModel
from audobon.models.store import is_intact, is_prepared, prepared_path


def load(
    card: Card,
    models_folder: Path,
    *,
    threads: int,
    arena: bool,
    running: Running | None = None,
    devices: Devices | None = None,
    wanted: Wanted = "cpu",
) -> LoadedModel:
    """Return a model ready to run, preparing it first when it was not or a byte has changed.

    The bytes are hashed on another core while the session is built, so proving them costs next to no
    time; no answer is given before they are proved. The prepared copy is derived from a source whose digest
    is checked before use: this guards against a failing disk, not against who may write to the folder.
    When a card does not take the model it is the processor after all, and `LoadedModel.choice` says why.
    devices  of this machine; None: the processor alone
    wanted   which of them
    raises   ModelNotFound when the model's package is missing, CorruptModel
    """
    on = partial(_load_on, card, models_folder, threads=threads, arena=arena, running=running)
    if devices is None:
        return on(Choice())
    choice = devices.choose(wanted, need_bytes=predict_vram(card, max(card.memory.lean.peak_bytes_by_pixels)))
    try:
        model = on(choice)
    except Misconfigured as error:
        return on(devices.give_up(choice, error.message))
    except Unavailable as error:
        devices.give_back(choice)
        return on(Choice(reason=error.message, is_fallback=True))
    except BaseException:
        devices.give_back(choice)
        raise
    model.on_close = partial(devices.give_back, choice)
    return model


def _load_on(
    card: Card,
    models_folder: Path,
    choice: Choice,
    *,
    threads: int,
    arena: bool,
    running: Running | None,
) -> LoadedModel:
    kind = choice.device.kind

    def open_model() -> LoadedModel:
        path = prepared_path(card, models_folder, kind)
        return LoadedModel(path, threads=threads, arena=arena, choice=choice, running=running)

    def is_sound() -> bool:
        return is_intact(card, models_folder, kind)

    if not is_prepared(card, models_folder, kind):
        prepare_apart(card, models_folder, kind)
    model = _load_weighed(open_model, is_sound)
    if model is None:
        prepare_apart(card, models_folder, kind)
        model = _load_weighed(open_model, is_sound)
    if model is None:
        raise CorruptModel(f"{card.name} was prepared and is damaged already", hint="check the disk")
    return model


def _load_weighed(open_model: Callable[[], LoadedModel], is_sound: Callable[[], bool]) -> LoadedModel | None:
    # The library is no part of a model's size.
    import onnxruntime  # noqa: F401

    start = time.perf_counter()
    with METER.weighing() as weighing:
        model = _load_intact(open_model, is_sound)
    if model is not None:
        model.load_seconds = time.perf_counter() - start
        model.opened_bytes = max(0, weighing.grown_bytes) if weighing.is_alone else None
    return model


def _load_intact(open_model: Callable[[], LoadedModel], is_sound: Callable[[], bool]) -> LoadedModel | None:
    with ThreadPoolExecutor(max_workers=1) as other_core:
        proof = other_core.submit(is_sound)
        try:
            model = open_model()
        except CorruptModel:
            if proof.result():
                raise
            return None
        if proof.result():
            return model
        model.close()
        return None
