"""What does Audobon cost on top of the model? A page, and the second page of a book, beside a bare script."""

import sys
from pathlib import Path

from PIL import Image, ImageChops

from audobon.models.card import built_in_card
from audobon.models.store import prepared_folder
from measuring import AUDOBON, ROOT, interleave, measure, median_ratio, save, scratch, table, verdict

MODEL = "waifu2x-upconv7-x2"
TILE = 192
ROUNDS = 7
PAGES = ROOT / "samples" / "the-wren"


def main() -> None:
    with scratch() as (folder, environment):
        sources = large_pages(folder)
        book = folder / "book"
        book.mkdir()
        for source in sources:
            (book / source.name).write_bytes(source.read_bytes())
        warm = measure(
            [AUDOBON, "run", "upscale", sources[0], "-o", folder / "warm.png", "--quiet"], environment
        )
        model = prepared_folder(built_in_card(MODEL), folder / "data" / "models") / "model.onnx"
        script = [sys.executable, Path(__file__).with_name("bare_script.py"), model, str(TILE)]
        ours = [AUDOBON, "run", "upscale"]
        print(f"first run, the model prepared on the way: {warm.seconds:.2f} s")

        measure([*script, folder / "bare", sources[0]], environment)
        with Image.open(folder / "bare-0.png") as a, Image.open(folder / "warm.png") as b:
            assert ImageChops.difference(a, b).getbbox() is None, "the two do not do the same work"

        runs = interleave(
            ROUNDS,
            {
                "bare 1": lambda: measure([*script, folder / "bare", sources[0]], environment),
                "ours 1": lambda: measure(
                    [*ours, sources[0], "-o", folder / "one.png", "--overwrite", "--quiet"], environment
                ),
                "bare 2": lambda: measure([*script, folder / "bare", *sources], environment),
                "ours 2": lambda: measure(
                    [*ours, book, "-o", folder / "out", "--overwrite", "--quiet"], environment
                ),
            },
        )
    seconds = {name: [run.seconds for run in found] for name, found in runs.items()}
    one = median_ratio(seconds["ours 1"], seconds["bare 1"])
    second = {
        who: [two - one for one, two in zip(seconds[f"{who} 1"], seconds[f"{who} 2"], strict=True)]
        for who in ("bare", "ours")
    }
    # Differences of noisy numbers are noisier: take the medians first, then their ratio.
    middle = {who: sorted(values)[ROUNDS // 2] for who, values in second.items()}
    later = middle["ours"] / middle["bare"]
    cpu = median_ratio(
        [run.cpu_seconds for run in runs["ours 1"]], [run.cpu_seconds for run in runs["bare 1"]]
    )
    help_runs = startup()
    rows = [
        ["one page, wall", f"{one[0]:.3f}", f"{one[1]:.3f}-{one[2]:.3f}", "<= 1.10", verdict(one[0] <= 1.10)],
        ["one page, processor", f"{cpu[0]:.3f}", f"{cpu[1]:.3f}-{cpu[2]:.3f}", "", ""],
        ["second page of a book, wall", f"{later:.3f}", "", "<= 1.03", verdict(later <= 1.03)],
        [
            "audobon --help",
            f"{help_runs[0] * 1000:.0f} ms",
            f"up to {help_runs[1] * 1000:.0f} ms",
            "<= 150 ms",
            verdict(help_runs[0] <= 0.15),
        ],
    ]
    table(
        "Overhead against a bare script (ratio of medians over interleaved rounds)",
        ["what", "ratio", "spread", "goal", ""],
        rows,
    )
    save("overhead", {"rounds": ROUNDS, "seconds": seconds, "rows": rows})


def large_pages(folder: Path) -> list[Path]:
    """Return two pages of 1.4 megapixels, the size of a page on the web, drawn from the sample."""
    made = []
    for number in (1, 2):
        with Image.open(PAGES / f"page-{number}.png") as page:
            path = folder / f"page-{number}.png"
            page.convert("RGB").resize((992, 1400), Image.Resampling.BICUBIC).save(path)
            made.append(path)
    return made


def startup() -> tuple[float, float]:
    with scratch() as (_, environment):
        runs = sorted(measure([AUDOBON, "--help"], environment).seconds for _ in range(11))
    return runs[5], runs[-1]


if __name__ == "__main__":
    main()
