"""Admits models: measures what their cards claim, and writes it there.

    python benchmarks/admit_models.py [NAME ...]

For each card it records the digests of source and ONNX, the growth of a fresh process at its peak for
several input sizes (arena on: fast; off: lean), processor seconds per megapixel, and the golden
result; of a draft also the ranges of its tensors and its distance from the full model. What a person wrote
(names, licence, how to feed it) stays. Run it on a quiet machine after adding a model or changing the ONNX
Runtime version; read the difference before committing it.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

import drafts
from audobon.models import golden
from audobon.models.card import Card, Footprint, Golden, Memory, built_in_card, parse_card
from audobon.models.card_text import card_text
from audobon.models.feeds import pixels_of, useful_megapixels, usual_shapes
from audobon.models.runtime import LoadedModel, usable_threads
from audobon.models.sources import package_folder, to_onnx

CARDS = Path(__file__).parents[1] / "src/audobon/models/cards"
PROBE = """
import json, sys, time
from pathlib import Path
import numpy as np
import onnxruntime
from audobon.models.feeds import pixels_of, useful_megapixels, usual_shapes
from audobon.models.runtime import LoadedModel, return_memory_at_once

def kilobytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])

return_memory_at_once()
path, threads, arena, shape = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", json.loads(sys.argv[4])
x = np.ones(shape, dtype=np.float32)
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is in use now
before = kilobytes("VmRSS")
model = LoadedModel(path, threads=threads, arena=arena)
model(x)
start = time.process_time()
model(x)
seconds = time.process_time() - start
print(json.dumps([(kilobytes("VmHWM") - before) * 1024, seconds]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    for path in sorted(CARDS.glob("*.toml")):
        if not parser.parse_args().names or path.stem in parser.parse_args().names:
            card = admit(parse_card(path.read_text(encoding="utf-8")))
            path.write_text(card_text(card), encoding="utf-8")
            print(card.name, card.memory, flush=True)


def admit(card: Card) -> Card:
    """Return the card with everything measurable measured anew."""
    folder = package_folder(card)
    if folder is None:
        raise SystemExit(f"{card.source.package} is not installed")
    files = [(folder / item.path).read_bytes() for item in card.source.files]
    source_files = tuple(
        msgspec.structs.replace(item, sha256=hashlib.sha256(data).hexdigest())
        for item, data in zip(card.source.files, files, strict=True)
    )
    if card.draft_of is not None:
        card = msgspec.structs.replace(card, ranges=drafts.ranges_of(to_onnx(full_card(card), files)))
    graph = to_onnx(card, files)
    card = msgspec.structs.replace(
        card,
        source=msgspec.structs.replace(card.source, files=source_files),
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        graph_bytes=len(graph),
    )
    with tempfile.TemporaryDirectory() as scratch:
        from audobon.models.store import prepare

        path = prepare(card, Path(scratch))
        loss_db = None if card.draft_of is None else loss(card, path, Path(scratch))
        return msgspec.structs.replace(
            card, memory=measure(card, path), golden=record(card, path), loss_db=loss_db
        )


def full_card(draft: Card) -> Card:
    """Return a draft's card without what makes it a draft."""
    return msgspec.structs.replace(draft, draft_of=None, ranges={})


def loss(card: Card, path: Path, scratch: Path) -> float:
    """Return the PSNR of a draft's pages against the full model's: that of the worst page of the sample."""
    from audobon.models.store import prepare

    assert card.draft_of is not None
    full = built_in_card(card.draft_of)
    models = {
        c.name: LoadedModel(p, threads=usable_threads(), arena=False)
        for c, p in ((full, prepare(full, scratch)), (card, path))
    }
    found = []
    for page in drafts.pages([drafts.SAMPLE]):
        ours, theirs = (drafts.enlarge(page, c, models[c.name]) for c in (card, full))
        found.append(drafts.psnr_db(ours, theirs))
    return round(min(found), 1)


def measure(card: Card, path: Path) -> Memory:
    """Measure peak growth and time, with the arena and without."""
    return Memory(fast=footprint(card, path, arena=True), lean=footprint(card, path, arena=False))


def footprint(card: Card, path: Path, *, arena: bool) -> Footprint:
    peaks, costs = {}, []
    for shape in usual_shapes(card):
        growth, seconds = probe(path, shape, arena=arena)
        peaks[pixels_of(shape)] = growth
        costs.append(seconds / useful_megapixels(card, shape))
    return Footprint(peak_bytes_by_pixels=peaks, seconds_per_megapixel=round(min(costs), 2))


def probe(path: Path, shape: tuple[int, ...], *, arena: bool) -> tuple[int, float]:
    arguments = [str(path), str(usable_threads()), str(int(arena)), json.dumps(shape)]
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    return max(run[0] for run in runs), min(run[1] for run in runs)


def record(card: Card, path: Path) -> Golden:
    shape = card.golden.input_shape
    model = LoadedModel(path, threads=usable_threads(), arena=False)
    return golden.record(model(golden.pattern(shape)), shape, tolerance=card.golden.tolerance)


if __name__ == "__main__":
    main()
