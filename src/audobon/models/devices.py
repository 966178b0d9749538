"""Where a model can run, the processor or an NVIDIA card through CUDA, and which it shall be.

Asks through probes that tests replace. Opens no session; `sessions` does.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from audobon.models import cuda
from audobon.models.card import Card
from audobon.telemetry.gpus import Gpu, find_gpus

DeviceKind = Literal["cpu", "cuda"]
Wanted = Literal["auto", "cpu", "cuda"]
"""auto: a card when there is one that can be used, else the processor."""

VRAM_SHARE = 0.8
"""Of a card's memory that no other program holds, what models may take: the screen needs some as well."""

# The start figure is a guess, so a session may take twice as much where there is room.
_ROOM = 2
# Below this no model of ours would fit beside the workspaces of cuDNN.
_LEAST_BYTES = 256 << 20


class Device(msgspec.Struct, frozen=True):
    """Something that runs models.

    index        the card's number, counted as CUDA counts; 0 for the processor
    total_bytes  the card's own memory; 0 for the processor, whose budget is kept elsewhere
    """

    kind: DeviceKind = "cpu"
    index: int = 0
    name: str = "the processor"
    total_bytes: int = 0

    @property
    def label(self) -> str:
        """Short name for figures and logs: cpu, cuda:0."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


PROCESSOR = Device()


class Choice(msgspec.Struct, frozen=True):
    """The device a model shall run on.

    reason       why it is the processor although it need not be; None when nothing else was wanted
    is_fallback  a card was asked for, or is there, and yet it is the processor: to be told to the user
    limit_bytes  what the session may take of the card's memory; 0 on the processor
    """

    device: Device = PROCESSOR
    reason: str | None = None
    is_fallback: bool = False
    limit_bytes: int = 0


def available_providers() -> Sequence[str]:
    """Return the execution providers of the installed ONNX Runtime; none when it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    return tuple(onnxruntime.get_available_providers())


def predict_vram(card: Card, pixels: int) -> int:
    """Return the card's memory that a model is thought to take for this many pixels at once.

    No card was measured: the weights, and on top what the processor takes in the lean way, which holds the
    weights once more; the workspaces of cuDNN are to fit into that.
    """
    return card.graph_bytes + card.memory.lean.peak_bytes(pixels)


class Devices:
    """The devices of this machine, and what this process may take of each card; from any thread.

    providers   names of ONNX Runtime's execution providers
    gpus        the cards as the driver tells of them now, and why there is none
    cuda_uuids  the cards' lasting names in the order of CUDA's numbers
    """

    def __init__(
        self,
        *,
        providers: Callable[[], Sequence[str]] = available_providers,
        gpus: Callable[[], tuple[tuple[Gpu, ...], str | None]] = find_gpus,
        cuda_uuids: Callable[[], list[str]] = cuda.cuda_uuids,
        share: float = VRAM_SHARE,
    ) -> None:
        self._providers = providers
        self._gpus = gpus
        self._cuda_uuids = cuda_uuids
        self._share = share
        self._lock = threading.Lock()
        self._granted_bytes: dict[int, int] = {}
        self._failures: dict[int, str] = {}

    def found(self) -> list[Device]:
        """Return every device that models could run on, the processor first."""
        return [PROCESSOR, *(device for device, _ in self._cards()[0])]

    def choose(self, wanted: Wanted = "auto", *, need_bytes: int = _LEAST_BYTES) -> Choice:
        """Return where a model shall run: of the cards with room for it the one with most, or the processor.

        Memory is granted by what is free at this moment; hand the choice to `give_back` when its session is
        closed. Never fails: the processor is always there, and the reason says why it had to do.
        need_bytes  what the model is thought to take of a card; see `predict_vram`
        """
        if wanted == "cpu":
            return Choice()
        with self._lock:
            cards, problem = self._cards()
            if not cards:
                return Choice(reason=problem, is_fallback=wanted == "cuda")
            sound = [(device, gpu) for device, gpu in cards if device.index not in self._failures]
            if not sound:
                return Choice(reason=self._failures[cards[0][0].index], is_fallback=True)
            left_bytes, device = max(
                ((self._left_bytes(device, gpu), device) for device, gpu in sound), key=lambda pair: pair[0]
            )
            if left_bytes < need_bytes:
                return Choice(reason=_too_full(device, left_bytes, need_bytes), is_fallback=True)
            limit_bytes = min(left_bytes, _ROOM * need_bytes)
            self._granted_bytes[device.index] = self._granted_bytes.get(device.index, 0) + limit_bytes
        return Choice(device, limit_bytes=limit_bytes)

    def give_back(self, choice: Choice) -> None:
        """Take note that the session of a choice is closed."""
        if choice.limit_bytes:
            with self._lock:
                self._granted_bytes[choice.device.index] -= choice.limit_bytes

    def give_up(self, choice: Choice, reason: str) -> Choice:
        """Return the processor instead of a card that would not start, which is not tried again."""
        self.give_back(choice)
        with self._lock:
            self._failures[choice.device.index] = reason
        return Choice(reason=reason, is_fallback=True)

    def _left_bytes(self, device: Device, gpu: Gpu) -> int:
        # Where the driver does not tell what we hold, memory that was granted and is in use counts twice:
        # the processor is turned to sooner, and nobody's memory is taken.
        held_bytes = gpu.held_bytes.get(os.getpid(), 0)
        granted_bytes = self._granted_bytes.get(device.index, 0)
        usable_bytes = int(self._share * (gpu.free_bytes + held_bytes))
        return max(0, usable_bytes - max(granted_bytes, held_bytes))

    def _cards(self) -> tuple[list[tuple[Device, Gpu]], str | None]:
        """Return what CUDA can use, with the driver's figures, and why there is nothing."""
        if cuda.CUDA not in self._providers():
            return [], "the ONNX Runtime installed here is the one without CUDA"
        gpus, problem = self._gpus()
        if not gpus:
            return [], problem
        by_name = {gpu.uuid: gpu for gpu in gpus}
        found = [
            (Device("cuda", index, by_name[name].name, by_name[name].total_bytes), by_name[name])
            for index, name in enumerate(self._cuda_uuids())
            if name in by_name
        ]
        return found, None if found else f"CUDA sees no card, though the driver knows {gpus[0].name}"


def _too_full(device: Device, left_bytes: int, need_bytes: int) -> str:
    return (
        f"{device.name} has {left_bytes >> 20} MB left for models at this moment, and this one is thought to"
        f" take {need_bytes >> 20} MB"
    )
