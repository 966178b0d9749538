"""What ONNX Runtime writes when it profiles, read back."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from audobon.errors import AudobonError
from audobon.models.profile_trace import KindTime, Operator, read_trace


def run(at: int, microseconds: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": at, "dur": microseconds, "args": {}}


def node(name: str, kind: str, at: int, microseconds: int, shape: list[int]) -> dict[str, Any]:
    args = {"op_name": kind, "node_index": name, "output_type_shape": [{"float": shape}], "provider": "CPU"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": at, "dur": microseconds, "args": args}


def written(folder: Path, *events: Any) -> Path:
    path = folder / "profile.json"
    path.write_bytes(msgspec.json.encode(events))
    return path


def test_operators_come_in_their_order_with_medians_over_the_runs_that_count(tmp_path: Path) -> None:
    events = [run(0, 9000), node("a", "Conv", 10, 8000, [1, 8])]  # the first run, which plans
    for start, slow in ((10_000, 400), (20_000, 600), (30_000, 500)):
        events += [
            run(start, 1000),
            node("a", "Conv", start + 10, slow, [1, 8, 4, 4]),
            node("b", "Relu", start + 700, 100, [1, 8, 4, 4]),
            node("c", "Conv", start + 800, 100, [1, 3, 8, 8]),
        ]

    trace = read_trace(written(tmp_path, *reversed(events)), skip=1)

    assert (trace.runs, trace.seconds) == (3, 0.001)
    assert trace.operators == (
        Operator("Conv", "a", (1, 8, 4, 4), 10e-6, 500e-6),
        Operator("Relu", "b", (1, 8, 4, 4), 700e-6, 100e-6),
        Operator("Conv", "c", (1, 3, 8, 8), 800e-6, 100e-6),
    )
    assert trace.beside_seconds == pytest.approx(300e-6)
    conv, relu = trace.kinds()
    assert conv == KindTime("Conv", 2, pytest.approx(600e-6), pytest.approx(6 / 7))  # type: ignore[arg-type]
    assert (relu.kind, relu.count) == ("Relu", 1)
    assert [one.name for one in trace.slowest(2)] == ["a", "b"]


def test_names_from_a_strange_model_are_cut_and_made_harmless(tmp_path: Path) -> None:
    strange = "\x1b[31m" + "x" * 500
    trace = read_trace(written(tmp_path, run(0, 100), node(strange, "A\nB", 1, 2, [])), skip=0)
    [operator] = trace.operators
    assert operator.kind == "A\ufffdB"
    assert operator.name == "\ufffd[31m" + "x" * 115
    assert operator.shape == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "cannot be read"),
        (b'[{"cat": "Node"', "cannot be read"),
        (b'[{"name": 5}]', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "without a run"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, text: bytes, complaint: str) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(text)
    with pytest.raises(AudobonError, match=complaint):
        read_trace(path, skip=0)
