"""Opens an ONNX Runtime session on a device, and runs it: one tensor in, one tensor out."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audobon.errors import AudobonError, CorruptModel, Exhausted, Misconfigured, Unavailable
from audobon.models.cuda import CPU, CUDA, cuda_providers
from audobon.models.devices import Choice
from audobon.models.running import Running, opening

Tensor = npt.NDArray[np.float32]
OpenSession = Callable[..., Any]
"""Makes an `onnxruntime.InferenceSession`; tests record what it is asked for."""

# One Relu, 57 bytes: enough to see whether a device starts. Made once with onnx.helper.
TINY_GRAPH = bytes.fromhex(
    "08073a2f0a0c0a0178120179220452656c751201675a0d0a017812080a06080112020a00620d0a017912080a06080112020a0042"
    "040a00100d"
)
_NOT_STARTED = (
    "ONNX Runtime could not start CUDA: its libraries (CUDA and cuDNN) are missing, or of versions that it"
    " was not made for"
)


class Session:
    """A model on a device, for one thread at a time.

    graph    a prepared model, or one in memory
    options  of ONNX Runtime, for this session alone: they may be changed
    lean     the smallest memory rather than the shortest time
    raises  CorruptModel when the graph cannot be loaded, Unavailable when a card does not take it
    """

    def __init__(
        self,
        graph: Path | bytes,
        options: Any,
        choice: Choice,
        *,
        lean: bool,
        running: Running | None = None,
        opener: OpenSession | None = None,
    ) -> None:
        self.device = choice.device
        self._is_bound = choice.device.kind == "cuda"
        title = str(graph) if isinstance(graph, Path) else "a graph in memory"
        asked: dict[str, Any] = {"providers": [CPU]}
        if self._is_bound:
            providers = cuda_providers(choice.device.index, limit_bytes=choice.limit_bytes, lean=lean)
            # Its own way to fall back is to print a line and go on: the reason would be lost.
            asked = {"providers": providers, "enable_fallback": 0}
        try:
            if isinstance(graph, Path):
                with opening(graph, options, running or Running()):
                    self._session = (opener or _open_session)(str(graph), options, **asked)
            else:
                self._session = (opener or _open_session)(graph, options, **asked)
        except Exception as error:  # onnxruntime raises its own classes straight from C++
            if self._is_bound:
                raise Unavailable(
                    f"{choice.device.name} did not take the model: {_first_line(error)}"
                ) from error
            raise CorruptModel(f"{title} cannot be loaded: {error}", hint="audobon models verify") from error
        if self._is_bound and CUDA not in self._session.get_providers():
            self._session = None
            raise Misconfigured(_NOT_STARTED, hint='docs/guides/hardware.md; or models.device = "cpu"')
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._binding: Any = self._session.io_binding() if self._is_bound else None
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def run(self, tensor: Tensor) -> Tensor:
        """Return the model's answer, float32, in memory of its own.

        raises  Exhausted when memory ran out, Unavailable when the card failed, CorruptModel
        """
        try:
            if self._binding is not None:
                return self._run_bound(tensor)
            answer: Tensor = self._session.run(None, {self._input: tensor})[0]
        except Exception as error:  # as above: no Python base class to catch
            raise self._explained(error, tensor) from error
        return answer

    def metadata(self) -> dict[str, str]:
        """Return the texts stored inside the model file."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def close(self) -> None:
        """Let go of the model and of what it holds on its device."""
        self._binding = None
        self._session = None

    def _run_bound(self, tensor: Tensor) -> Tensor:
        """Run with memory that was named before.

        The input is copied to the card from where it lies; the card's side of it comes from the session's
        arena, and so under its limit. The answer is written straight into what the caller gets: a buffer
        kept from run to run would have to be copied once more.
        """
        binding = self._binding
        binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))
        shape = self._shapes.get(tensor.shape)
        if shape is None:
            binding.bind_output(self._output, "cpu")
            self._session.run_with_iobinding(binding)
            answer: Tensor = binding.get_outputs()[0].numpy().copy()
            self._shapes = {tensor.shape: answer.shape}
            return answer
        answer = np.empty(shape, np.float32)
        binding.bind_output(self._output, "cpu", 0, np.float32, shape, answer.ctypes.data)
        self._session.run_with_iobinding(binding)
        return answer

    def _explained(self, error: Exception, tensor: Tensor) -> AudobonError:
        text = str(error).lower()
        if "alloc" in text or "out of memory" in text:
            return Exhausted(f"memory ran out for an input of shape {tensor.shape} on {self.device.name}")
        if self._is_bound and ("cuda" in text or "cudnn" in text or "cublas" in text):
            return Unavailable(
                f"{self.device.name} failed: {_first_line(error)}",
                hint='models.device = "cpu" does without it',
            )
        return CorruptModel(f"the model failed on an input of shape {tensor.shape}: {error}")


def trial(choice: Choice, *, opener: OpenSession | None = None) -> str | None:
    """Return why a device does not run models; None when it ran the smallest there is."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    try:
        session = Session(TINY_GRAPH, options, choice, lean=True, opener=opener)
        answer = session.run(np.array([-1.0, 2.0], np.float32))
        session.close()
    except AudobonError as error:
        return error.message
    return None if answer.tolist() == [0.0, 2.0] else f"{choice.device.name} gives wrong answers"


def _open_session(graph: str | bytes, options: Any, *, providers: Any, **further: int) -> Any:
    import onnxruntime

    if providers != [CPU]:
        _find_libraries()
    return onnxruntime.InferenceSession(graph, options, providers=providers, **further)


@cache
def _find_libraries() -> None:
    """Load CUDA's libraries from NVIDIA's own packages, where the system's loader does not look."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
