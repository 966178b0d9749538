"""What does a draft gain, and what does it lose? Each model with a draft, against its full self.

    python benchmarks/bench_draft.py [FOLDER ...]

Distance on the pages of the sample comic, on which the drafts were calibrated, and of each FOLDER, on which
they were not. Time as whole commands on a page of 1.5 megapixels, in turns; and of the model alone, also
with the kernels that processors without VNNI get.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import drafts
from audobon.models.card import Card, built_in_card, built_in_cards
from audobon.models.runtime import LoadedModel, Tensor, usable_threads
from audobon.models.sources import package_folder, read_graph
from audobon.models.store import prepare
from measuring import AUDOBON, Run, interleave, measure, save, scratch, table, verdict

SIZE = (1000, 1500)
ROUNDS = 3
RUNS = 7
LEAST_DB = 35.0
# For the four-times line model: 1.5 megapixels to 24.
FULL_SECONDS, DRAFT_SECONDS = 30.0, 15.0


def main() -> None:
    folders = [drafts.SAMPLE, *map(Path, sys.argv[1:])]
    found = [card for card in built_in_cards().values() if card.draft_of is not None and package_folder(card)]
    distances = [row for card in found for row in distance(card, folders)]
    table(
        f"PSNR of the draft against the full model, one pass (goal: at least {LEAST_DB:g} dB)",
        ["model", "pages", "worst", "median", "best", ""],
        distances,
    )
    times = [row for card in found for row in commands(card)]
    table(
        f"A page of 1.5 megapixels, whole command, median of {ROUNDS} rounds in turns (ratios: full / draft)",
        [
            "model",
            "scale",
            "full",
            "draft",
            "wall ratio",
            "processor ratio",
            "peak, full",
            "peak, draft",
            "goal",
        ],
        times,
    )
    alone = [kernels(card) for card in found]
    table(
        f"The model alone, one tile, processor time, best of {RUNS} in turns (full / draft)",
        ["model", "full", "draft", "ratio", "without VNNI's kernels", "ratio", "same pixels"],
        alone,
    )
    save("draft", {"distance": distances, "commands": times, "model_alone": alone})


def distance(card: Card, folders: list[Path]) -> list[list[str]]:
    assert card.draft_of is not None
    full = built_in_card(card.draft_of)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        models = {c.name: loaded(c, Path(name)) for c in (full, card)}
        for folder in folders:
            found = [
                drafts.psnr_db(*(drafts.enlarge(page, c, models[c.name]) for c in (full, card)))
                for page in drafts.pages([folder])
            ]
            values = [f"{value:.1f} dB" for value in (min(found), statistics.median(found), max(found))]
            rows.append(
                [full.name, f"{folder.name} ({len(found)})", *values, verdict(min(found) >= LEAST_DB)]
            )
    return rows


def commands(card: Card) -> list[list[str]]:
    assert card.picture is not None
    assert card.draft_of is not None
    scales = (2, 4) if card.draft_of.startswith("waifu2x") else (card.picture.scale,)
    with scratch() as (folder, environment):
        page = folder / "page.png"
        with Image.open(drafts.SAMPLE / "page-1.png") as image:
            image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(page)

        def run(quality: str, scale: int) -> Run:
            target = folder / f"{quality}-{scale}.png"
            options = ["--quality", quality, "--scale", str(scale), "--model", str(card.draft_of)]
            made = measure(
                [AUDOBON, "run", "upscale", page, "-o", target, "--overwrite", "--quiet", *options],
                environment,
            )
            with Image.open(target) as image:
                assert image.size == (SIZE[0] * scale, SIZE[1] * scale)
            return made

        rows = []
        for scale in scales:
            for quality in ("full", "draft"):
                run(quality, scale)
            rounds = interleave(ROUNDS, {q: lambda q=q, s=scale: run(q, s) for q in ("full", "draft")})
            rows.append(row_of(card.draft_of, scale, rounds))
    return rows


def row_of(name: str, scale: int, rounds: dict[str, list[Run]]) -> list[str]:
    full, draft = rounds["full"], rounds["draft"]
    seconds = {quality: statistics.median(run.seconds for run in rounds[quality]) for quality in rounds}
    peaks = {quality: max(run.peak_bytes for run in rounds[quality]) >> 20 for quality in rounds}
    is_line_model = name == "realesrgan-animevideov3-x4"
    is_met = seconds["full"] <= FULL_SECONDS and seconds["draft"] <= DRAFT_SECONDS
    return [
        name,
        f"×{scale}",
        f"{seconds['full']:.1f} s",
        f"{seconds['draft']:.1f} s",
        f"{statistics.median(a.seconds / b.seconds for a, b in zip(full, draft, strict=True)):.2f}",
        f"{statistics.median(a.cpu_seconds / b.cpu_seconds for a, b in zip(full, draft, strict=True)):.2f}",
        f"{peaks['full']} MB",
        f"{peaks['draft']} MB",
        f"≤ {FULL_SECONDS:g} s, ≤ {DRAFT_SECONDS:g} s: {verdict(is_met)}" if is_line_model else "",
    ]


def kernels(card: Card) -> list[str]:
    """Time one tile: full, draft, and the draft as processors without VNNI run it."""
    import onnxruntime

    assert card.draft_of is not None
    assert card.picture is not None
    side = card.picture.tile_px + 2 * card.picture.padding_px
    tile = np.random.default_rng(1).random((1, 3, side, side), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(read_graph(card), options, providers=["CPUExecutionProvider"])
    answers: dict[str, Tensor] = {}

    with tempfile.TemporaryDirectory() as name:
        models = {
            "full": loaded(built_in_card(card.draft_of), Path(name)),
            "draft": loaded(card, Path(name)),
            "exact": lambda x: session.run(None, {"input": x})[0],
        }

        def timed(kind: str) -> float:
            start = time.process_time()
            answers[kind] = models[kind](tile)
            return time.process_time() - start

        found = interleave(RUNS, {kind: lambda kind=kind: timed(kind) for kind in models})
    full, draft, exact = (min(found[kind]) for kind in ("full", "draft", "exact"))
    return [
        card.draft_of,
        f"{full * 1000:.0f} ms",
        f"{draft * 1000:.0f} ms",
        f"{full / draft:.2f}",
        f"{exact * 1000:.0f} ms",
        f"{full / exact:.2f}",
        "equal" if np.array_equal(answers["draft"], answers["exact"]) else "DIFFERENT",
    ]


def loaded(card: Card, folder: Path) -> LoadedModel:
    return LoadedModel(prepare(card, folder), threads=usable_threads(), arena=True)


if __name__ == "__main__":
    main()
