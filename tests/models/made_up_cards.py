"""Graphics cards that are not there: a driver that tells of them, and sessions that only take note."""

import ctypes
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from audobon.models.cuda import CPU, CUDA
from audobon.models.devices import Devices
from audobon.telemetry.gpus import Gpu

MIB, GIB = 1 << 20, 1 << 30


class MadeUpMachine:
    """A machine with cards whose free memory a test moves about."""

    def __init__(self, *gpus: Gpu, order: Sequence[str] | None = None, has_cuda: bool = True) -> None:
        self.gpus = list(gpus)
        self.problem: str | None = None if gpus else "no NVIDIA GPU found: no NVIDIA driver answers"
        self.order = list(order) if order is not None else [gpu.uuid for gpu in gpus]
        self.has_cuda = has_cuda
        self.asked: list[str] = []

    def devices(self) -> Devices:
        return Devices(providers=self._providers, gpus=self._gpus, cuda_uuids=self._uuids)

    def _providers(self) -> list[str]:
        self.asked.append("providers")
        return [CUDA, CPU] if self.has_cuda else ["AzureExecutionProvider", CPU]

    def _gpus(self) -> tuple[tuple[Gpu, ...], str | None]:
        self.asked.append("driver")
        return tuple(self.gpus), self.problem

    def _uuids(self) -> list[str]:
        self.asked.append("cuda")
        return self.order


def gpu(name: str, *, free_bytes: int, total_bytes: int = 8 * GIB, ours_bytes: int | None = None) -> Gpu:
    held = {} if ours_bytes is None else {os.getpid(): ours_bytes, 1: GIB}
    return Gpu(name, total_bytes, free_bytes, uuid=f"GPU-{name}", held_bytes=held)


class RecordedSessions:
    """Opens sessions that double what they are given, and keeps every call in order.

    starts   whether CUDA comes up when it is asked for; otherwise it is the processor, without a word
    fails    what opening or running on a card raises
    """

    def __init__(
        self, *, starts: bool = True, fails_open: str | None = None, fails_run: str | None = None
    ) -> None:
        self.starts = starts
        self.fails_open = fails_open
        self.fails_run = fails_run
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, graph: str | bytes, options: Any, *, providers: Any, **further: int) -> Any:
        self.calls.append(("open", graph, providers, further))
        if self.fails_open is not None and providers != [CPU]:
            raise RuntimeError(self.fails_open)
        return _RecordedSession(self, has_cuda=self.starts and providers != [CPU])


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _RecordedSession:
    def __init__(self, record: RecordedSessions, *, has_cuda: bool) -> None:
        self._record = record
        self._providers = [CUDA, CPU] if has_cuda else [CPU]

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> list[_Named]:
        return [_Named("in")]

    def get_outputs(self) -> list[_Named]:
        return [_Named("out"), _Named("more")]

    def io_binding(self) -> "_RecordedBinding":
        return _RecordedBinding(self._record)

    def run(self, names: None, feeds: dict[str, Any]) -> list[Any]:
        self._record.calls.append(("run", {name: value.shape for name, value in feeds.items()}))
        return [value * 2 for value in feeds.values()]

    def run_with_iobinding(self, binding: "_RecordedBinding") -> None:
        self._record.calls.append(("run bound",))
        if self._record.fails_run is not None:
            raise RuntimeError(self._record.fails_run)
        binding.compute()


class _RecordedBinding:
    def __init__(self, record: RecordedSessions) -> None:
        self._record = record
        self._input: Any = None
        self._answer: Any = None
        self._target: tuple[Any, ...] = ()

    def bind_cpu_input(self, name: str, array: Any) -> None:
        assert array.flags.c_contiguous
        self._record.calls.append(("bind input", name, array.shape))
        self._input = array

    def bind_output(self, name: str, *where: Any) -> None:
        shown = tuple(part for part in where if not (isinstance(part, int) and part > 1 << 16))
        self._record.calls.append(("bind output", name, *shown))
        self._target = where

    def compute(self) -> None:
        self._answer = self._input * 2
        if len(self._target) > 1:
            _, _, kind, shape, address = self._target
            assert kind is np.float32
            assert tuple(shape) == self._answer.shape
            ctypes.memmove(address, self._answer.ctypes.data, self._answer.nbytes)

    def get_outputs(self) -> list[Any]:
        answer = self._answer

        class Value:
            def numpy(self) -> Any:
                return answer

        return [Value()]
