"""Runs one ONNX model with ONNX Runtime, on the processor."""

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audobon.cgroup import read_limits
from audobon.errors import CorruptModel, Exhausted

Tensor = npt.NDArray[np.float32]

_LOG_ERRORS_ONLY = 3


def session_options(*, threads: int, arena: bool, optimise: bool) -> Any:
    """Return ONNX Runtime options: quiet, unspinning, and with our threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = _LOG_ERRORS_ONLY
    # Waiting threads would burn the cores that decode and encode pages; measured free of cost.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    return options


def usable_threads() -> int:
    """Return how many processors this process may keep busy, by its affinity and its group's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = read_limits().cores
    return count if quota is None else max(1, min(count, round(quota)))


class LoadedModel:
    """A model in memory; call it with one tensor, get one tensor.

    Not for two threads at once. `close` gives the memory back.
    """

    def __init__(self, path: Path, *, threads: int, arena: bool) -> None:
        self._path = path
        self._options = session_options(threads=threads, arena=arena, optimise=False)
        self._arena = arena
        self._shape: tuple[int, ...] | None = None
        self._open()

    def _open(self) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(
                str(self._path), self._options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own classes straight from C++
            raise CorruptModel(
                f"{self._path} cannot be loaded: {error}", hint="audobon models verify"
            ) from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the model's answer, float32; Exhausted when memory ran out."""
        if self._arena and self._shape not in (None, tensor.shape):
            # An arena keeps room for every shape it ever saw; a new session starts small,
            # and costs a few milliseconds against the minutes of a page.
            self._session = None
            self._open()
        self._shape = tensor.shape
        try:
            answer: Tensor = self._session.run(None, {self._input: tensor})[0]
        except Exception as error:  # as above: no Python base class to catch
            if "alloc" in str(error).lower():
                raise Exhausted(f"memory ran out for an input of shape {tensor.shape}") from error
            raise CorruptModel(f"the model failed on an input of shape {tensor.shape}: {error}") from error
        return answer

    def metadata(self) -> dict[str, str]:
        """Return the texts stored inside the model file."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def close(self) -> None:
        """Drop the session and hand freed memory back to the system."""
        self._session = None
        trim_heap()


# source: glibc, malloc/malloc.h (M_MMAP_THRESHOLD)
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK_BYTES = 1 << 20


def return_memory_at_once() -> None:
    """Make this process hand every freed block of a mebibyte or more straight back.

    glibc otherwise raises that bound as it goes and keeps tensors' memory for itself: measured,
    the four-times upscaler then peaks three times higher without the arena.
    """
    try:
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
    except (OSError, AttributeError):
        # Not glibc: the allocator there returns large blocks by itself.
        return


def trim_heap() -> None:
    """Give freed heap pages back to the system, where the C library can."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        # As above.
        return
