"""The three models that read lettering, on onnxruntime, from the installed package rapidocr."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from audobon.pages.letters import LetterModels, Run

Floats = npt.NDArray[np.float32]


@cache
def letter_models() -> LetterModels:
    """Return the models; loaded once for all tests."""
    recogniser = _session("PP-OCRv6_rec_small.onnx")
    alphabet = recogniser.get_modelmeta().custom_metadata_map["character"].split("\n")
    return LetterModels(
        detector=_run(_session("PP-OCRv6_det_small.onnx")),
        classifier=_run(_session("ch_ppocr_mobile_v2.0_cls_mobile.onnx")),
        recogniser=_run(recogniser),
        alphabet=tuple(alphabet),
    )


def _session(name: str) -> onnxruntime.InferenceSession:
    # found without importing: the package itself is not used
    spec = importlib.util.find_spec("rapidocr")
    assert spec is not None
    assert spec.submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    path = Path(spec.submodule_search_locations[0]) / "models" / name
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession) -> Run:
    def run(batch: Floats) -> Floats:
        answer: Floats = session.run(None, {"x": batch})[0]
        return answer

    return run
