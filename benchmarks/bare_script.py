"""The yardstick of the overhead benchmark: the same ONNX file, the same tiles, and nothing else.

    python bare_script.py MODEL.onnx TILE OUT IN [IN ...]

It decodes, cuts the same tiles, runs the same session settings, and encodes as Audobon does, in one process
without queue, storage, limits, durability or progress.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

PADDING = 7


def main() -> None:
    model, tile, target, *sources = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for number, source in enumerate(sources):
        upscale(session, source, f"{target}-{number}.png", int(tile))


def upscale(session: onnxruntime.InferenceSession, source: str, target: str, tile: int) -> None:
    with Image.open(source) as image:
        mode = image.mode
        page = np.asarray(image)
    height, width = page.shape[:2]
    rows, columns = side(height, tile), side(width, tile)
    result = np.full((height * 2, width * 2, page.shape[2]), 255, np.uint8)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            ys = np.clip(np.arange(top - PADDING, top + rows_window(rows) - PADDING), 0, height - 1)
            xs = np.clip(np.arange(left - PADDING, left + rows_window(columns) - PADDING), 0, width - 1)
            window = page[ys[:, None], xs[None, :], :3]
            tensor = window.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
            answer = session.run(None, {"input": tensor})[0][0]
            part = np.clip(np.rint(answer * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)
            bottom, right = min(height, top + rows) * 2, min(width, left + columns) * 2
            result[top * 2 : bottom, left * 2 : right, :3] = part[: bottom - top * 2, : right - left * 2]
    Image.fromarray(result, mode).save(target, compress_level=4)


def side(length: int, tile: int) -> int:
    count = -(-length // tile)
    return -(-length // count)


def rows_window(length: int) -> int:
    return -(-(length + 2 * PADDING) // 8) * 8


if __name__ == "__main__":
    main()
