"""Runs one ONNX model with ONNX Runtime, on the processor or on a card, and watches its memory."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from audobon.models.devices import Choice
from audobon.models.meter import METER
from audobon.models.running import Running
from audobon.models.sessions import Session
from audobon.models.sessions import Tensor as Tensor
from audobon.processes import usable_threads as usable_threads

_LOG_ERRORS_ONLY = 3
# Lines of lettering come in any width: enough of them are watched to know the model.
_MOST_SHAPES = 64
# The second run of a shape takes more than the first: by then its memory was planned. Measured with the
# detector, lean, at 960×640: 84 MB, then 118.
_WATCHED_RUNS = 2


def session_options(*, threads: int, arena: bool, optimise: bool, spinning: bool = False) -> Any:
    """Return ONNX Runtime options: quiet, unspinning unless asked to, and with our threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = _LOG_ERRORS_ONLY
    # Waiting threads would burn the cores that decode and encode pages; measured free of cost.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    return options


class Observation(NamedTuple):
    """What running a model was seen to take; see `Footprint`.

    pixels      fed at once
    peak_bytes  growth of the process at its peak, weights included
    is_settled  further runs will take no more; a first one tells only that it takes so much at least
    """

    pixels: int
    peak_bytes: int
    is_settled: bool = True


class LoadedModel:
    """A model in memory; call it with one tensor, get one tensor.

    Not for two threads at once. `close` gives the memory back.
    path    as prepared for the kind of the device
    choice  the device; on a card only the processor's side of its memory is watched
    raises  CorruptModel; Misconfigured when CUDA does not start, Unavailable when a card does not take it
    opened_bytes  what the process grew by when it was loaded, if that could be seen
    load_seconds  what loading it took
    on_close      called once, when it is closed; all three are set by whoever loaded it
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        arena: bool,
        choice: Choice | None = None,
        running: Running | None = None,
    ) -> None:
        self._path = path
        self._threads = threads
        self._arena = arena
        self.choice = choice or Choice()
        self._running = running or Running()
        self._shape: tuple[int, ...] | None = None
        self.opened_bytes: int | None = None
        self.load_seconds = 0.0
        self.on_close: Callable[[], None] | None = None
        self._observations: list[Observation] = []
        self._kept_bytes: int | None = 0
        self._runs_to_watch = 0
        # How often a shape was run, and the most it took.
        self._watched: dict[tuple[int, ...], tuple[int, int]] = {}
        self._open()

    def _open(self) -> None:
        options = session_options(
            threads=self._threads,
            arena=self._arena,
            # What was prepared for a card is not finished: the rest depends on the card itself.
            optimise=self.choice.device.kind != "cpu",
            spinning=self._running.spinning,
        )
        self._session = Session(self._path, options, self.choice, lean=not self._arena, running=self._running)
        self._kept_bytes = 0

    @property
    def held_bytes(self) -> int | None:
        """Return what it holds between runs; None when other activity hid that."""
        if self.opened_bytes is None or self._kept_bytes is None:
            return None
        return self.opened_bytes + self._kept_bytes

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the model's answer, float32; Exhausted when memory ran out."""
        if tensor.shape != self._shape:
            self._meet(tensor.shape)
        if self._runs_to_watch:
            return self._watched_run(tensor)
        mark = METER.begin()
        try:
            return self._session.run(tensor)
        finally:
            METER.end(mark)

    def _meet(self, shape: tuple[int, ...]) -> None:
        if self._arena and self._shape is not None:
            self.shrink()
        self._shape = shape
        if self._arena:
            # A session of its own: what was seen before is of another.
            self._watched.clear()
        if shape in self._watched or len(self._watched) < _MOST_SHAPES:
            runs, _ = self._watched.setdefault(shape, (0, 0))
            self._runs_to_watch = _WATCHED_RUNS - runs
        else:
            self._runs_to_watch = 0

    def _watched_run(self, tensor: Tensor) -> Tensor:
        self._runs_to_watch -= 1
        with METER.weighing(peak=True) as weighing:
            answer = self._session.run(tensor)
        kept = self._kept_bytes
        if not weighing.is_alone:
            self._kept_bytes = None if self._arena else kept
        elif kept is not None:
            # What a run takes of a card does not show in the process.
            is_here = self.choice.device.kind == "cpu"
            if is_here and weighing.peak_bytes is not None and self.opened_bytes is not None:
                self._note(tensor.shape, self.opened_bytes + kept + weighing.peak_bytes)
            self._kept_bytes = max(0, kept + weighing.grown_bytes - answer.nbytes)
        return answer

    def _note(self, shape: tuple[int, ...], peak_bytes: int) -> None:
        """Take note of a run; the observation of a shape is the most of its first runs together."""
        runs, most = self._watched[shape]
        runs, most = self._watched[shape] = (runs + 1, max(most, peak_bytes))
        pixels = shape[0] * shape[-2] * shape[-1]
        self._observations.append(Observation(pixels, most, is_settled=runs == _WATCHED_RUNS))

    def shrink(self) -> None:
        """Give back what runs left behind, down to the weights.

        An arena keeps room for every shape it ever saw. A new session starts small and costs milliseconds;
        ONNX Runtime's own shrinking costs a run, and was measured to leave up to 50 MB.
        """
        if self._arena and self._shape is not None:
            self._session.close()
            self._shape = None
            self._open()
        trim_heap()

    def take_observations(self) -> list[Observation]:
        """Return what runs with a new shape were seen to take since the last call; mostly nothing."""
        seen = self._observations
        if seen:
            self._observations = []
        return seen

    def metadata(self) -> dict[str, str]:
        """Return the texts stored inside the model file."""
        return self._session.metadata()

    def close(self) -> None:
        """Drop the session and hand freed memory back to the system."""
        self._session.close()
        trim_heap()
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()


def import_runtime() -> None:
    """Import ONNX Runtime, the dearest import of all, before it is needed."""
    import onnxruntime  # noqa: F401


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
