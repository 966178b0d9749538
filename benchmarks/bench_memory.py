"""Is a memory budget a promise? A page of 24 megapixels out, free and under --memory 400MB."""

from hashlib import sha256

from PIL import Image

from measuring import AUDOBON, ROOT, Run, measure, save, scratch, table, verdict

BUDGET_MB, ALLOWED_MB = 400, 420
SIZE = (2000, 3000)  # ×2 gives 4000×6000


def main() -> None:
    rows = []
    with scratch() as (folder, environment):
        page = folder / "page.png"
        with Image.open(ROOT / "samples" / "the-wren" / "page-1.png") as image:
            image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(page)
        small = folder / "small.png"
        with Image.open(page) as image:
            image.resize((SIZE[0] // 2, SIZE[1] // 2), Image.Resampling.LANCZOS).save(small)
        cases = {
            "×2, default model": (page, ["--scale", "2"]),
            "×4, default model (two passes)": (small, ["--scale", "4"]),
            "×4, realesrgan-animevideov3-x4": (
                small,
                ["--scale", "4", "--model", "realesrgan-animevideov3-x4"],
            ),
        }
        measure([AUDOBON, "run", "upscale", small, "-o", folder / "warm.png", "--quiet"], environment)
        for name, (source, options) in cases.items():
            runs: dict[str, Run] = {}
            digests = {}
            for limit in ("none", f"{BUDGET_MB}MB"):
                target = folder / f"out-{limit}.png"
                memory = [] if limit == "none" else ["--memory", limit]
                runs[limit] = measure(
                    [
                        AUDOBON,
                        "run",
                        "upscale",
                        source,
                        "-o",
                        target,
                        "--overwrite",
                        "--quiet",
                        *options,
                        *memory,
                    ],
                    environment,
                )
                with Image.open(target) as image:
                    assert image.size == (SIZE[0] * 2, SIZE[1] * 2)
                    digests[limit] = sha256(image.tobytes()).hexdigest()
            free, capped = runs["none"], runs[f"{BUDGET_MB}MB"]
            peak = capped.peak_bytes / (1 << 20)
            equal = digests["none"] == digests[f"{BUDGET_MB}MB"]
            rows.append(
                [
                    name,
                    f"{free.peak_bytes / (1 << 20):.0f} MB",
                    f"{peak:.0f} MB",
                    "equal" if equal else "DIFFERENT",
                    f"{capped.seconds / free.seconds:.2f}",
                    verdict(peak <= ALLOWED_MB and equal),
                ]
            )
    table(
        f"24 megapixels out under --memory {BUDGET_MB}MB"
        f" (all processes together; goal: at most {ALLOWED_MB} MB, equal pixels)",
        ["case", "peak, free", "peak, capped", "pixels", "time, capped/free", ""],
        rows,
    )
    save("memory", {"rows": rows})


if __name__ == "__main__":
    main()
