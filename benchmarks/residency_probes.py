"""What bench_residency.py measures, each in a process of its own: residency_probes.py PROBE FOLDER [...]

Prints one line of JSON.
"""

import gc
import importlib
import json
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from audobon.errors import CorruptModel
from audobon.models.accounts import Key
from audobon.models.card import Card, Memory, built_in_card
from audobon.models.devices import Choice
from audobon.models.golden import pattern
from audobon.models.loading import load
from audobon.models.observed import FILE
from audobon.models.residency import Residency
from audobon.models.runtime import LoadedModel, return_memory_at_once, session_options
from audobon.models.service import Models
from audobon.models.sessions import Session
from audobon.models.sources import package_folder
from audobon.models.store import is_intact, prepared_path
from audobon.processes import resident_bytes

PAIRS = 5000
CYCLED = (
    "waifu2x-upconv7-x2",
    "waifu2x-cunet-clean0",
    "ppocr-v6-detector",
    "ppocr-v2-classifier",
    "ppocr-v6-recogniser",
)
MIXED: dict[str, list[tuple[int, ...]]] = {
    "waifu2x-upconv7-x2": [(1, 3, 110, 110), (1, 3, 142, 142)],
    "waifu2x-upconv7-x2-denoise1": [(1, 3, 110, 110), (1, 3, 142, 142)],
    "waifu2x-cunet-clean0": [(1, 3, 312, 312)],
    "ppocr-v6-detector": [(1, 3, 736, 544)],
    "ppocr-v2-classifier": [(1, 3, 48, 192), (8, 3, 48, 192)],
    "ppocr-v6-recogniser": [(1, 3, 48, 320), (6, 3, 48, 320)],
}
THRASHING = "ABAACABC" * 50
THRASHED = {"A": "waifu2x-upconv7-x2", "B": "ppocr-v6-detector", "C": "ppocr-v6-recogniser"}


def own_bytes() -> int:
    """Return what this process holds."""
    return resident_bytes(os.getpid())


def pixels_of(shape: tuple[int, ...]) -> int:
    """Return how many pixels a tensor of this shape feeds at once."""
    return shape[0] * shape[2] * shape[3]


def with_memory(card: Card, memory: Memory) -> Card:
    """Return the card with other figures of memory, as if nobody had measured it before."""
    return msgspec.structs.replace(card, memory=memory)


class SmallModels(Models):
    """Models, of which each is the same graph of five nodes; cards come from the catalogue as ever."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent, threads=1, budget_bytes=1 << 30)
        self._path = path

    def _load(self, key: Key) -> LoadedModel:
        return LoadedModel(self._path, threads=1, arena=True)


def overhead(folder: Path) -> dict[str, Any]:
    """G1: pairs of a bare run and one with lease, admission and accounts, in turns."""
    path = folder / "small.onnx"
    path.write_bytes(small_graph())
    models, name = SmallModels(path), "waifu2x-upconv7-x2"
    options = session_options(threads=1, arena=True, optimise=False)
    bare = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tensor = pattern((1, 3, 64, 64))
    raw, ours = np.empty(PAIRS), np.empty(PAIRS)

    def run_bare() -> None:
        bare.run(None, {"x": tensor})

    def run_ours() -> None:
        with models.lease(name) as model:
            model(tensor)

    for _ in range(200):
        run_bare()
        run_ours()
    processor = {"raw": 0.0, "ours": 0.0}
    gc.disable()
    for index in range(PAIRS):
        order: list[tuple[str, Callable[[], None], Any]] = [("raw", run_bare, raw), ("ours", run_ours, ours)]
        for who, run, times in order if index % 2 == 0 else order[::-1]:
            start_cpu, start = time.thread_time(), time.perf_counter()
            run()
            times[index] = time.perf_counter() - start
            processor[who] += time.thread_time() - start_cpu
    gc.enable()
    return {
        "raw_us": [float(np.percentile(raw, q)) * 1e6 for q in (50, 99)],
        "ours_us": [float(np.percentile(ours, q)) * 1e6 for q in (50, 99)],
        "paired_us": [float(np.percentile(ours - raw, q)) * 1e6 for q in (50, 99)],
        "processor_us": {who: seconds / PAIRS * 1e6 for who, seconds in processor.items()},
    }


def small_graph() -> bytes:
    """Return a graph of five nodes that takes [1, 3, 64, 64] and gives ten numbers."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(3)
    weights = {
        "w1": draw.normal(size=(8, 3, 3, 3)) * 0.1,
        "w2": draw.normal(size=(8, 8, 3, 3)) * 0.1,
        "w3": draw.normal(size=(10, 8, 1, 1)) * 0.1,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "w3"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10, 1, 1])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def cycles(folder: Path, how: str, count: str) -> dict[str, Any]:
    """G4: load, run and evict five models again and again; what stays."""
    inputs = {name: pattern(built_in_card(name).golden.input_shape) for name in CYCLED}
    models = Models(folder, threads=2)

    def ours() -> None:
        for name, tensor in inputs.items():
            with models.lease(name) as model:
                model(tensor)
            models.set_budget(0)
            models.set_budget(None)

    def bare() -> None:
        for name, tensor in inputs.items():
            options = onnxruntime.SessionOptions()
            options.enable_cpu_mem_arena = how == "bare"
            path = str(prepared_path(built_in_card(name), folder))
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            session.run(None, {session.get_inputs()[0].name: tensor})
            del session
            gc.collect()

    cycle = ours if how == "ours" else bare
    if how == "ours":
        return_memory_at_once()
    start = own_bytes()
    cycle()
    first, grown = own_bytes(), list[int]()
    for _ in range(int(count)):
        cycle()
        grown.append(own_bytes() - first)
    return {
        "first_cycle_bytes": first - start,
        "grown_bytes": grown,
        "slope_bytes": float(np.polyfit(range(int(count)), grown, 1)[0]),
        "needs_recycling": models.needs_recycling,
    }


def budget(folder: Path, count: str, cap: str) -> dict[str, Any]:
    """G5: a random mix of six models, two threads, within 40 % of their summed peaks."""
    return_memory_at_once()
    models = Models(folder, threads=1)
    peaks = {
        name: max(models.predict_peak(name, pixels_of(shape)) for shape in shapes)
        for name, shapes in MIXED.items()
    }
    allowed = round(0.4 * sum(peaks.values()))
    models.set_budget(allowed)
    draw = random.Random(5)
    requests = []
    for _ in range(int(count)):
        name = draw.choice(list(MIXED))
        requests.append((name, draw.choice(MIXED[name]), draw.random() < 0.5))
    inputs = {shape: pattern(shape) for shapes in MIXED.values() for shape in shapes}
    # The system's own peak, read every millisecond, since watched runs set it back.
    Path("/proc/self/clear_refs").write_text("5")
    before, highest, ended = own_bytes(), [0], threading.Event()
    # What is over is refused by the system, and the request fails. It counts private memory that was asked
    # for, touched or not: an arena asks for up to twice what it uses.
    held = int(_status("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (held + round(float(cap) * allowed), resource.RLIM_INFINITY))

    def watch() -> None:
        while not ended.wait(0.001):
            highest[0] = max(highest[0], int(_status("VmHWM")) * 1024 - before)

    def ask(request: tuple[str, tuple[int, ...], bool]) -> str | None:
        name, shape, lean = request
        predicted = models.predict_peak(name, pixels_of(shape), lean=lean)
        try:
            with models.lease(name, lean=lean, peak_bytes=predicted) as model:
                model(inputs[shape])
        except Exception as error:  # noqa: BLE001  a failure is what is counted here
            return f"{type(error).__name__}: {error}"
        return None

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        failures = [failure for failure in pool.map(ask, requests) if failure]
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    return {
        "summed_peaks_bytes": sum(peaks.values()),
        "budget_bytes": allowed,
        "highest_bytes": highest[0],
        "failures": failures,
        "seconds": seconds,
        "needs_recycling": models.recycling_reason,
    }


def _status(field: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(field)).split()[1]


def hits(folder: Path) -> dict[str, Any]:
    """G9: leases of resident models from eight threads, and cold loads."""
    names = [f"waifu2x-upconv7-x2-denoise{level}" for level in range(4)]
    names += ["waifu2x-upconv7-x2", "ppocr-v2-classifier", "ppocr-v6-recogniser", "ppocr-v6-detector"]
    models = Models(folder, threads=1, budget_bytes=2 << 30)

    def lease_once(name: str) -> float:
        start = time.perf_counter()
        with models.lease(name, lean=True, peak_bytes=1 << 20):
            return time.perf_counter() - start

    for name in names:
        lease_once(name)

    def own(name: str) -> list[float]:
        return [lease_once(name) for _ in range(5000)]

    def any_of(seed: int) -> list[float]:
        draw = random.Random(seed)
        return [lease_once(draw.choice(names)) for _ in range(2000)]

    with ThreadPoolExecutor(8) as pool:
        each = [seconds for found in pool.map(own, names) for seconds in found]
        mixed = [seconds for found in pool.map(any_of, range(8)) for seconds in found]
    models.close()

    loads = list[str]()
    card = built_in_card(names[0])

    def counted(key: Key) -> LoadedModel:
        loads.append(key.name)
        return load(card, folder, threads=1, arena=False)

    residency = Residency(counted)
    gate = threading.Barrier(100)

    def miss(_: int) -> None:
        gate.wait()
        entry = residency.acquire(Key(card.name, True, ""), peak_bytes=1, resident_bytes=1)
        residency.release(entry)

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(miss, range(100)))
    one_by_one, together = list[float](), list[float]()
    for _ in range(5):
        models.close()
        start = time.perf_counter()
        for name in names[4:]:
            lease_once(name)
        one_by_one.append(time.perf_counter() - start)
        models.close()
        start = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lease_once, names[4:]))
        together.append(time.perf_counter() - start)
    return {
        "own_us": [float(np.percentile(each, q)) * 1e6 for q in (50, 99, 100)],
        "mixed_us": [float(np.percentile(mixed, q)) * 1e6 for q in (50, 99, 100)],
        "loads_for_100_misses": len(loads),
        "one_by_one_seconds": statistics.median(one_by_one),
        "together_seconds": statistics.median(together),
    }


def thrash(folder: Path, bound: str) -> dict[str, Any]:
    """G10: eight threads work off a trace over three models with room for one."""
    loads, waits, lock = list[str](), list[float](), threading.Lock()
    coming: Iterator[str] = iter(THRASHING)
    cards = {letter: built_in_card(name) for letter, name in THRASHED.items()}
    inputs = {letter: pattern(card.golden.input_shape) for letter, card in cards.items()}

    def counted(key: Key) -> LoadedModel:
        loads.append(key.name)
        return load(cards[key.name], folder, threads=1, arena=False)

    room = 64 << 20
    residency = Residency(counted, budget_bytes=room, fair_seconds=float(bound))

    def work(_: int) -> None:
        while True:
            with lock:
                letter = next(coming, None)
            if letter is None:
                return
            start = time.perf_counter()
            entry = residency.acquire(Key(letter, True, ""), peak_bytes=room, resident_bytes=1 << 20)
            waits.append(time.perf_counter() - start)
            assert entry.model is not None
            entry.model(inputs[letter])
            residency.release(entry)

    start = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    return {"loads": len(loads), "longest_wait_seconds": max(waits), "seconds": time.perf_counter() - start}


def sizes(folder: Path) -> dict[str, Any]:
    """G13: what nine models hold after a run, and what loading them takes; each lean."""
    return_memory_at_once()
    found = {}
    for name in [*CYCLED[:2], "waifu2x-cunet-clean1", *ANIMATED, *CYCLED[2:], "waifu2x-upconv7-x2-denoise0"]:
        card = built_in_card(name)
        times, model = list[float](), None
        for _ in range(5):
            if model is not None:
                model.close()
            model = load(card, folder, threads=2, arena=False)
            times.append(model.load_seconds)
        assert model is not None
        model(pattern(card.golden.input_shape))
        found[name] = [model.held_bytes, statistics.median(times)]
        model.close()
    return found


ANIMATED = ("realesrgan-animevideov3-x2", "realesrgan-x4plus-anime")


def peak(folder: Path, name: str, shape: str, way: str) -> dict[str, Any]:
    """G6: growth of a fresh process that runs a model twice."""
    return_memory_at_once()
    tensor = np.ones(json.loads(shape), dtype=np.float32)
    Path("/proc/self/clear_refs").write_text("5")
    before = own_bytes()
    # The session alone: a loaded model watches its first runs, and that sets the peak back.
    options = session_options(threads=2, arena=way == "fast", optimise=False)
    session = Session(prepared_path(built_in_card(name), folder), options, Choice(), lean=way == "lean")
    for _ in range(2):
        session.run(tensor)
    return {"bytes": int(_status("VmHWM")) * 1024 - before}


class CalibratedModels(Models):
    """Models whose cards know two sizes only."""

    def __init__(self, folder: Path, memory: Memory) -> None:
        super().__init__(folder, threads=2)
        self._memory = memory

    def card(self, name: str) -> Card:
        """Return the card with those sizes."""
        return with_memory(built_in_card(name), self._memory)


def learn(folder: Path, name: str, way: str, known: str, shapes: str) -> dict[str, Any]:
    """G6: what is predicted for sizes after each was run in three sessions."""
    return_memory_at_once()
    (folder / FILE).unlink(missing_ok=True)
    lean = way == "lean"
    models = CalibratedModels(folder, msgspec.json.decode(known, type=Memory))
    predicted = []
    for shape in json.loads(shapes):
        tensor = np.ones(shape, dtype=np.float32)
        for _ in range(3):
            with models.lease(name, lean=lean) as model:
                model(tensor)
                model(tensor)
            models.close()
        predicted.append(models.predict_peak(name, pixels_of(shape), lean=lean))
    return {"predicted": predicted}


def golden(folder: Path, name: str) -> dict[str, Any]:
    """G12: seconds to prove a model from its package, converted and optimised; and turned bits noticed."""
    card = built_in_card(name)
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch) / "models"
        start = time.perf_counter()
        Models(empty, threads=2).verify(name)
        seconds = time.perf_counter() - start
        refused = _is_damage_seen(card, empty)
        package = package_folder(card)
        assert package is not None
        copy = Path(scratch) / "packages" / card.source.module
        for file in card.source.files:
            (copy / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(package / file.path, copy / file.path)
        (copy / "__init__.py").touch()
        _turn_a_bit(copy / card.source.files[-1].path)
        sys.path.insert(0, str(copy.parent))
        sys.modules.pop(card.source.module, None)
        importlib.invalidate_caches()
        try:
            Models(Path(scratch) / "other", threads=2).verify(name)
        except CorruptModel:
            refused += 1
    return {"seconds": seconds, "refused": refused}


def _is_damage_seen(card: Card, folder: Path) -> bool:
    """Turn a bit of a prepared model; tell whether the next load leaves a sound copy in its place."""
    path = prepared_path(card, folder)
    _turn_a_bit(max(path.parent.iterdir(), key=lambda file: file.stat().st_size))
    was_noticed = not is_intact(card, folder)
    load(card, folder, threads=2, arena=False).close()
    return was_noticed and is_intact(card, folder)


def _turn_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "overhead": overhead,
    "cycles": cycles,
    "budget": budget,
    "hits": hits,
    "thrash": thrash,
    "sizes": sizes,
    "peak": peak,
    "learn": learn,
    "golden": golden,
}


USED = (
    *CYCLED,
    *MIXED,
    *ANIMATED,
    "waifu2x-cunet-clean1",
    *(f"waifu2x-upconv7-x2-denoise{level}" for level in range(4)),
)


def prepared(folder: Path, names: Iterable[str]) -> None:
    """Prepare what the probes use."""
    from audobon.models.preparing import prepare_apart

    for name in names:
        prepare_apart(built_in_card(name), folder)


if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
