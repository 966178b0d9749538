"""How long does a model take to load, measured by the time it takes to read its weights?"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from audobon.models.card import built_in_cards
from audobon.models.sources import package_folder, read_graph
from audobon.models.store import prepare
from measuring import save, table, verdict

ROUNDS = 9
GOALS = {"large": (64e6, 1.5), "middle": (16e6, 2.0)}
# Each in a process of its own: what an earlier load left warm would flatter a later one.
PROBE = """
import json, sys, time
from pathlib import Path
import onnxruntime
from audobon.models.runtime import LoadedModel
from audobon.models.loading import load
from audobon.models.card import built_in_card
how, name, folder, graph = sys.argv[1:]
card = built_in_card(name)
if how == "read":
    start = time.perf_counter()
    for path in Path(graph).parent.glob("*"):
        path.read_bytes()
elif how == "ours":
    start = time.perf_counter()
    load(card, Path(folder), threads=2, arena=True)
elif how == "unchecked":
    start = time.perf_counter()
    LoadedModel(Path(graph), threads=2, arena=True)
else:
    start = time.perf_counter()
    onnxruntime.InferenceSession(how, providers=["CPUExecutionProvider"])
print(json.dumps(time.perf_counter() - start))
"""


def main() -> None:
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for card in built_in_cards().values():
            if card.graph_bytes < GOALS["middle"][0] or package_folder(card) is None:
                continue
            plain = Path(scratch) / f"{card.name}.onnx"
            plain.write_bytes(read_graph(card))
            graph = prepare(card, Path(scratch))
            ways = {"read": "read", "ours": "ours", "unchecked": "unchecked", "default": str(plain)}
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(ROUNDS):
                for way, how in ways.items():
                    times[way].append(probe(how, card.name, scratch, graph))
            best = {way: min(found) for way, found in times.items()}
            _, goal = GOALS["large"] if card.graph_bytes >= GOALS["large"][0] else GOALS["middle"]
            ratio = best["ours"] / best["read"]
            rows.append(
                [
                    card.name,
                    f"{card.graph_bytes / 1e6:.0f} MB",
                    *(f"{best[way] * 1000:.0f} ms" for way in ways),
                    f"{ratio:.2f}",
                    f"<= {goal}",
                    verdict(ratio <= goal),
                ]
            )
            figures[card.name] = times
    table(
        "Loading a model, warm page cache, best of rounds (ours proves every byte; default: ONNX Runtime)",
        ["model", "size", "raw read", "ours", "ours unchecked", "default", "ours / read", "goal", ""],
        rows,
    )
    save("session_load", {"rounds": ROUNDS, "seconds": figures, "rows": rows})


def probe(how: str, name: str, folder: str, graph: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, how, name, folder, str(graph)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout))


if __name__ == "__main__":
    main()
