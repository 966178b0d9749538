"""What ONNX Runtime and the CUDA driver must be told, and asked, to run a model on an NVIDIA card.

Untried on a real card: written from the documentation, and tested against recorded calls.
"""

import ctypes
import sys
import uuid

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

ProviderOptions = dict[str, str]
Providers = list[str | tuple[str, ProviderOptions]]

_DRIVERS = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
_UUID_BYTES = 16


def cuda_providers(index: int, *, limit_bytes: int, lean: bool) -> Providers:
    """Return the providers of a session on a card, and their options; the processor takes what is left.

    index        the card's number, counted as CUDA counts
    limit_bytes  most that the session's arena may take of the card
    source       onnxruntime.ai, "CUDA Execution Provider", configuration options
    """
    options = {
        "device_id": str(index),
        "gpu_mem_limit": str(limit_bytes),
        # The other strategy doubles the arena at each step, and would run into the limit at half of it.
        "arena_extend_strategy": "kSameAsRequested",
        # The default tries every algorithm of cuDNN at the first run of each shape, with all the memory that
        # these want. Tiles come in a few shapes only, each for a page or two: a good guess is worth more.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The largest workspace buys time with memory; lean wants it the other way round.
        "cudnn_conv_use_max_workspace": "0" if lean else "1",
        # Products of 10 bits would be faster, and may miss the golden results.
        "use_tf32": "0",
        "do_copy_in_default_stream": "1",
    }
    return [(CUDA, options), CPU]


def cuda_uuids() -> list[str]:
    """Return the cards that CUDA would use, by their lasting names, in the order of CUDA's numbers.

    The driver's other interface (NVML) counts by place on the bus and knows nothing of the variables that
    hide cards from a program; the names are what both have in common. Empty when there is no CUDA driver.
    """
    try:
        driver = ctypes.CDLL(_DRIVERS[sys.platform])
    except (KeyError, OSError):
        return []
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    found = []
    for index in range(count.value):
        device, raw = ctypes.c_int(0), ctypes.create_string_buffer(_UUID_BYTES)
        if driver.cuDeviceGet(ctypes.byref(device), index) or driver.cuDeviceGetUuid(raw, device):
            return []
        found.append(f"GPU-{uuid.UUID(bytes=raw.raw)}")
    return found
