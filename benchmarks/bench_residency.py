"""What does it cost to keep models in memory within a budget, and does the budget hold?

    python benchmarks/bench_residency.py [--quick] [--only G4,G6]

--quick tries everything in two minutes, and judges nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import residency_probes as probes
from audobon.compute.work import model_names
from audobon.models.card import Footprint, Memory, built_in_card
from audobon.models.observed import PeakMemory
from audobon.models.sources import package_folder
from audobon.pages.operations import LettersSettings, UpscaleSettings
from measuring import interleave, save, table, verdict
from residency_traces import Outcome, Size, largest_first, lru, optimum, ours, traces

MEGABYTE = 1 << 20
# What operations run when nobody chooses.
DEFAULTS = (
    *model_names(UpscaleSettings()),
    *(f"waifu2x-cunet-clean{level}" for level in range(4)),
    *model_names(LettersSettings()),
)
# Seeds that the half-life of the policy was not chosen on.
SEEDS = range(100, 112)
SHARES = (0.4, 0.6)
# Of the budget; the first is the goal's.
CAPS = (1.1, 1.25)
# Two sizes to calibrate with, then the sizes to predict. The smallest one a model is used with is among the
# first two: below what was measured a card promises nothing smaller, on purpose.
PREDICTED: dict[str, list[tuple[int, ...]]] = {
    "waifu2x-upconv7-x2": [
        (1, 3, 62, 62),
        (1, 3, 206, 206),
        (1, 3, 78, 78),
        (1, 3, 110, 142),
        (1, 3, 174, 174),
    ],
    "realesrgan-animevideov3-x2": [(1, 3, 104, 104), (1, 3, 232, 232), (1, 3, 136, 136), (1, 3, 168, 200)],
    "realesrgan-animevideov3-x4": [(1, 3, 104, 104), (1, 3, 232, 232), (1, 3, 136, 136), (1, 3, 168, 200)],
    "waifu2x-cunet-clean0": [(1, 3, 116, 116), (1, 3, 312, 312), (1, 3, 184, 184), (1, 3, 248, 248)],
    "ppocr-v6-detector": [(1, 3, 736, 544), (1, 3, 1472, 1056), (1, 3, 1088, 768), (1, 3, 960, 640)],
    "ppocr-v6-recogniser": [(1, 3, 48, 320), (6, 3, 48, 960), (6, 3, 48, 320), (3, 3, 48, 640)],
    "ppocr-v2-classifier": [(1, 3, 48, 192), (8, 3, 48, 192), (4, 3, 48, 192), (6, 3, 48, 192)],
}


class Extent(NamedTuple):
    """How much is measured.

    rounds    of what is repeated
    cycles    of load, run and evict
    requests  of the random mix
    models    whose peaks are predicted; None: all
    """

    rounds: int = 3
    cycles: int = 200
    requests: int = 500
    models: int | None = None


QUICK = Extent(rounds=1, cycles=20, requests=40, models=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="try everything, judge nothing")
    parser.add_argument("--only", default=",".join(GOALS), help="goals, such as G4,G6")
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    if unknown := set(chosen) - set(GOALS):
        raise SystemExit(f"no such goals: {', '.join(sorted(unknown))}; there are {', '.join(GOALS)}")
    extent = QUICK if asked.quick else Extent()
    figures: dict[str, Any] = {}
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        probes.prepared(folder, used())
        for goal in chosen:
            found, lines = GOALS[goal](folder, extent)
            figures[goal] = found
            rows += [[goal, *line] for line in lines]
            print(f"{goal} is done", file=sys.stderr, flush=True)
    if asked.quick:
        rows = [[*row[:-1], ""] for row in rows]
    table("Models in memory", ["", "what", "measured", "beside", "goal", ""], rows)
    if asked.quick:
        print("\nA trial: too short to judge anything, and nothing was kept.")
    else:
        save("residency", {"extent": extent._asdict(), "figures": figures, "rows": rows})


def used() -> list[str]:
    """Return the models that are measured: those whose package is here."""
    names = sorted({*probes.USED, *PREDICTED, *DEFAULTS})
    return [name for name in names if package_folder(built_in_card(name)) is not None]


def probe(folder: Path, *arguments: object) -> dict[str, Any]:
    """Run one probe in a process of its own."""
    command = [sys.executable, str(Path(probes.__file__)), str(arguments[0]), str(folder)]
    command += [str(argument) for argument in arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def overhead(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G1."""
    runs = [probe(folder, "overhead") for _ in range(extent.rounds)]
    half, most = (statistics.median(run["paired_us"][index] for run in runs) for index in (0, 1))
    raw = statistics.median(run["raw_us"][0] for run in runs)
    processor = statistics.median(run["processor_us"]["ours"] - run["processor_us"]["raw"] for run in runs)
    return runs, [
        [
            "lease over a bare run, p50",
            f"{half:.1f} µs",
            f"run {raw:.0f} µs",
            "<= 25 µs",
            verdict(half <= 25),
        ],
        ["the same, p99", f"{most:.1f} µs", "", "<= 250 µs", verdict(most <= 250)],
        ["the same, processor", f"{processor:.1f} µs", "", "", ""],
    ]


def cycles(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G4."""
    runs = {how: probe(folder, "cycles", how, extent.cycles) for how in ("ours", "bare", "bare, arena off")}

    def tell(how: str) -> tuple[float, float]:
        return max(runs[how]["grown_bytes"]) / MEGABYTE, runs[how]["slope_bytes"] / MEGABYTE

    most, slope = tell("ours")
    (bare_most, bare_slope), (lean_most, lean_slope) = tell("bare"), tell("bare, arena off")
    return runs, [
        [
            f"{extent.cycles} × load, run, evict five models: growth",
            f"{most:.1f} MB",
            f"bare {bare_most:.0f} MB, without arena {lean_most:.0f} MB",
            "<= 16 MB",
            verdict(most <= 16),
        ],
        [
            "the same, per cycle",
            f"{slope:.3f} MB",
            f"bare {bare_slope:.3f} MB, without arena {lean_slope:.3f} MB",
            "<= 0.05 MB",
            verdict(slope <= 0.05),
        ],
    ]


def budget(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G5."""
    runs = {cap: probe(folder, "budget", extent.requests, cap) for cap in CAPS}
    highest = max(run["highest_bytes"] / run["budget_bytes"] for run in runs.values())
    first = runs[CAPS[0]]
    rows = [
        [
            f"{extent.requests} requests, six models, budget 40 % of their peaks: peak",
            f"{highest * 100:.0f} % of it",
            f"{first['budget_bytes'] >> 20} of {first['summed_peaks_bytes'] >> 20} MB",
            "<= 105 %",
            verdict(highest <= 1.05),
        ]
    ]
    for cap, run in runs.items():
        failed = len(run["failures"])
        is_goal = cap == CAPS[0]
        rows.append(
            [
                f"the same, failures when the system refuses more than {cap * 100:.0f} %",
                str(failed),
                f"{run['seconds']:.0f} s",
                "0" if is_goal else "",
                verdict(failed == 0) if is_goal else "",
            ]
        )
    return runs, rows


def prediction(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G6: calibrated with two sizes, as a card is, then asked for others; again after runs of these."""
    pairs = []
    here = [(name, shapes) for name, shapes in PREDICTED.items() if name in used()]
    for name, shapes in here[: extent.models]:
        for way in ("fast", "lean"):
            peaks = [
                max(probe(folder, "peak", name, json.dumps(shape), way)["bytes"] for _ in range(2))
                for shape in shapes
            ]
            sizes = [probes.pixels_of(shape) for shape in shapes]
            known = Footprint(
                peak_bytes_by_pixels=dict(zip(sizes[:2], peaks[:2], strict=True)), seconds_per_megapixel=1
            )
            memory = Memory(fast=known, lean=known)
            card = probes.with_memory(built_in_card(name), memory)
            expected = PeakMemory(folder / "nothing", threads=2)
            claims = msgspec.json.encode(memory).decode()
            later = probe(folder, "learn", name, way, claims, json.dumps(shapes[2:]))["predicted"]
            for size, measured, learned in zip(sizes[2:], peaks[2:], later, strict=True):
                predicted = expected.predict(card, size, lean=way == "lean")
                pairs.append([name, way, size, measured, predicted, learned])
    return pairs, [
        _accuracy("predicted peak within 15 % of the measured", pairs, 4),
        _accuracy("the same, after three sessions with the size", pairs, 5),
    ]


def _accuracy(what: str, pairs: list[list[Any]], column: int) -> list[str]:
    errors = [(pair[column] / pair[3] - 1, pair) for pair in pairs]
    share = sum(abs(error) <= 0.15 for error, _ in errors) / len(errors)
    worst, (name, way, *_) = max(errors, key=lambda found: abs(found[0]))
    return [
        what,
        f"{share * 100:.0f} % of {len(errors)}",
        f"worst {worst * 100:+.0f} % ({name}, {way})",
        ">= 95 %",
        verdict(share >= 0.95),
    ]


def hits(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G9."""
    runs = [probe(folder, "hits") for _ in range(extent.rounds)]
    own = statistics.median(run["own_us"][1] for run in runs)
    mixed = statistics.median(run["mixed_us"][1] for run in runs)
    loads = max(run["loads_for_100_misses"] for run in runs)
    together = statistics.median(run["together_seconds"] / run["one_by_one_seconds"] for run in runs)
    return runs, [
        ["hit with eight threads, p99", f"{own:.1f} µs", "a model each", "<= 100 µs", verdict(own <= 100)],
        ["the same, all after the same eight models", f"{mixed:.0f} µs", "waits for them included", "", ""],
        ["loads for 100 misses of one model at once", str(loads), "", "1", verdict(loads == 1)],
        ["four cold models at once / one by one", f"{together:.2f}", "two cores", "", ""],
    ]


def thrash(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G10."""
    bound = 2.0
    runs = interleave(
        extent.rounds,
        {
            "ours": lambda: probe(folder, "thrash", bound),
            "first in, first out": lambda: probe(folder, "thrash", 0),
        },
    )
    loads, plain = (statistics.median(run["loads"] for run in found) for found in runs.values())
    longest = max(run["longest_wait_seconds"] for run in runs["ours"])
    return runs, [
        [
            "A B A A C A B C × 50, room for one: loads",
            f"{loads:.0f}",
            f"first in, first out {plain:.0f}",
            "<= 40 %",
            verdict(loads <= 0.4 * plain),
        ],
        ["the same, longest wait", f"{longest:.2f} s", "", f"<= {bound:g} s", verdict(longest <= bound)],
    ]


def policies(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G13: seconds of loading that hits save, against the most that could be saved."""
    sizes = {name: Size(*found) for name, found in probe(folder, "sizes").items()}
    largest = max(size.resident_bytes for size in sizes.values())
    total = sum(size.resident_bytes for size in sizes.values())
    contenders = {"ours": ours, "LRU": lru, "largest first": largest_first}
    regrets: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS[: 4 * extent.rounds]:
        for trace_name, trace in traces(list(sizes), seed).items():
            for share in SHARES:
                room = max(round(share * total), largest)
                best = optimum(trace, sizes, room)
                for name, replay in contenders.items():
                    regret = _regret(replay(trace, sizes, room), best)
                    regrets.setdefault(trace_name, {}).setdefault(name, []).append(regret)
    rows = []
    for trace_name, found in regrets.items():
        mean = {name: statistics.mean(values) * 100 for name, values in found.items()}
        rows.append(
            [
                f"trace '{trace_name}': behind the best possible",
                f"{mean['ours']:.1f} % (worst {max(found['ours']) * 100:.0f} %)",
                f"LRU {mean['LRU']:.1f} %, largest first {mean['largest first']:.1f} %",
                "<= 10 %",
                verdict(mean["ours"] <= 10),
            ]
        )
    return {"sizes": sizes, "regrets": regrets}, rows


def golden(folder: Path, extent: Extent) -> tuple[Any, list[list[str]]]:
    """G12: each default model proved from its package, and each refused with one bit of it turned."""
    names = [name for name in DEFAULTS if name in used()]
    proofs = {name: probe(folder, "golden", name) for name in names}
    slowest = max(names, key=lambda name: proofs[name]["seconds"])
    refused = sum(proofs[name]["refused"] for name in names)
    longest = proofs[slowest]["seconds"]
    return proofs, [
        [
            f"{len(names)} default models proved, each from nothing",
            f"{longest:.2f} s at most",
            slowest,
            "<= 3 s",
            verdict(longest <= 3),
        ],
        [
            "the same with one bit turned, in the package and as prepared",
            f"{refused} of {2 * len(names)} noticed",
            "",
            "all",
            verdict(refused == 2 * len(names)),
        ],
    ]


def _regret(outcome: Outcome, best: Outcome) -> float:
    return 1 - outcome.saved_seconds / best.saved_seconds


GOALS = {
    "G1": overhead,
    "G4": cycles,
    "G5": budget,
    "G6": prediction,
    "G9": hits,
    "G10": thrash,
    "G12": golden,
    "G13": policies,
}


if __name__ == "__main__":
    main()
