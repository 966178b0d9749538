"""NVIDIA graphics cards and their memory, asked of the driver through NVML; no CUDA is needed for it."""

import warnings
from types import ModuleType

import msgspec

_NOT_INSTALLED = "no NVIDIA GPU found: the package nvidia-ml-py is not installed"
_NO_DRIVER = "no NVIDIA GPU found: no NVIDIA driver answers"
_NO_CARD = "no NVIDIA GPU found: the driver knows of no card"


class Gpu(msgspec.Struct, frozen=True):
    """An NVIDIA graphics card at this moment.

    free_bytes    what no program uses
    uuid          the driver's lasting name of the card; empty when it does not tell
    held_bytes    process -> memory, of those that the driver tells; often none inside a container
    busy_percent  share of the last instants in which it computed; None when the driver does not tell
    """

    name: str
    total_bytes: int
    free_bytes: int
    uuid: str = ""
    held_bytes: dict[int, int] = {}
    busy_percent: float | None = None


class GpuDriver:
    """The driver, kept open between questions; not for two threads at once."""

    def __init__(self) -> None:
        self._nvml: ModuleType | None = None

    def read(self) -> tuple[tuple[Gpu, ...], str | None]:
        """Return the cards, and why there is none; never raises for want of a card or a driver."""
        if self._nvml is None and (problem := self._open()) is not None:
            return (), problem
        nvml = self._nvml
        assert nvml is not None
        try:
            gpus = tuple(_read(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))
        except nvml.NVMLError as error:
            # The driver may have been replaced under us: the next question opens it anew.
            self.close()
            return (), f"the NVIDIA driver answers, but not about its cards: {error}"
        return gpus, None if gpus else _NO_CARD

    def close(self) -> None:
        """Let go of the driver; the next question opens it again."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            nvml.nvmlShutdown()

    def _open(self) -> str | None:
        with warnings.catch_warnings():
            # Another package of the same name warns on import that it is outdated.
            warnings.simplefilter("ignore")
            try:
                import pynvml
            except ImportError:
                return _NOT_INSTALLED
        try:
            pynvml.nvmlInit()
        except (pynvml.NVMLError, OSError):
            return _NO_DRIVER
        self._nvml = pynvml
        return None


def find_gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Return the NVIDIA cards, and why there is none; see `GpuDriver.read`."""
    driver = GpuDriver()
    try:
        return driver.read()
    finally:
        driver.close()


def _read(nvml: ModuleType, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        total_bytes=int(memory.total),
        free_bytes=int(memory.free),
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        held_bytes=_held_bytes(nvml, handle),
        busy_percent=_busy_percent(nvml, handle),
    )


def _held_bytes(nvml: ModuleType, handle: object) -> dict[int, int]:
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        # Some cards and some systems do not tell who holds what.
        return {}
    return {
        int(process.pid): int(process.usedGpuMemory)
        for process in processes
        if process.usedGpuMemory is not None
    }


def _busy_percent(nvml: ModuleType, handle: object) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:
        # As above.
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
