"""Reads what ONNX Runtime writes when it profiles: how long each operator of a run took."""

import re
import statistics
from pathlib import Path

import msgspec

from audobon.errors import AudobonError

# ONNX Runtime ends a profile at a million events; one takes about a kilobyte.
_MOST_BYTES = 1 << 30
_MOST_NAME = 120
_SUFFIX = "_kernel_time"
_UNSHOWN = re.compile(r"[^\x20-\x7e\xa0-\uffff]")


class Operator(msgspec.Struct, frozen=True):
    """One operator of a model, in the order in which they run.

    kind     what it does: Conv, Relu
    name     as the graph calls it
    shape    of its first output, as ONNX Runtime saw it; () where it told none
    begin_seconds  from the start of a run
    seconds        median over the runs
    """

    kind: str
    name: str
    shape: tuple[int, ...]
    begin_seconds: float
    seconds: float


class KindTime(msgspec.Struct, frozen=True):
    """All operators of one kind in a run."""

    kind: str
    count: int
    seconds: float
    share: float


class Trace(msgspec.Struct, frozen=True):
    """What runs of one shape took.

    runs            that were watched, the first ones of the session not among them
    seconds         of a run, the median
    operators       of a run, in order
    beside_seconds  of a run, spent in no operator
    """

    runs: int
    seconds: float
    operators: tuple[Operator, ...]
    beside_seconds: float

    def kinds(self) -> list[KindTime]:
        """Return the time by kind of operator, the dearest first."""
        sums: dict[str, tuple[int, float]] = {}
        for operator in self.operators:
            count, seconds = sums.get(operator.kind, (0, 0.0))
            sums[operator.kind] = (count + 1, seconds + operator.seconds)
        whole = sum(seconds for _, seconds in sums.values()) or 1.0
        found = [KindTime(kind, count, seconds, seconds / whole) for kind, (count, seconds) in sums.items()]
        return sorted(found, key=lambda one: -one.seconds)

    def slowest(self, count: int) -> list[Operator]:
        """Return the dearest operators."""
        return sorted(self.operators, key=lambda one: -one.seconds)[:count]


class _Details(msgspec.Struct):
    op_name: str = "?"
    node_index: str = ""
    output_type_shape: list[dict[str, list[int]]] = []


class _Event(msgspec.Struct):
    cat: str = ""
    name: str = ""
    ts: float = 0.0
    dur: float = 0.0
    args: _Details | msgspec.UnsetType = msgspec.UNSET


def read_trace(path: Path, *, skip: int) -> Trace:
    """Return what a profile tells, without its first `skip` runs.

    The names in it come from the model, which may be anybody's: they are cut, and made harmless to show.
    raises  AudobonError when the file is not what ONNX Runtime writes, or holds no further run
    """
    if path.stat().st_size > _MOST_BYTES:
        raise AudobonError(
            f"the profile of ONNX Runtime is too large to be read: {path.stat().st_size} bytes"
        )
    try:
        events = msgspec.json.decode(path.read_bytes(), type=list[_Event])
    except msgspec.DecodeError as error:
        raise AudobonError(f"ONNX Runtime wrote a profile that cannot be read: {error}") from error
    runs = sorted((e for e in events if e.name == "model_run"), key=lambda e: e.ts)[skip:]
    nodes = sorted((e for e in events if e.cat == "Node" and e.name.endswith(_SUFFIX)), key=lambda e: e.ts)
    if not runs:
        raise AudobonError("ONNX Runtime wrote a profile without a run")
    seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
    told: dict[tuple[str, str], _Details] = {}
    for run in runs:
        for node in _within(nodes, run):
            details = _Details() if isinstance(node.args, msgspec.UnsetType) else node.args
            key = (details.node_index, node.name)
            told.setdefault(key, details)
            seen.setdefault(key, []).append(((node.ts - run.ts) / 1e6, node.dur / 1e6))
    operators = [
        Operator(
            kind=_shown(told[key].op_name),
            name=_shown(key[1].removesuffix(_SUFFIX)),
            shape=_first_shape(told[key]),
            begin_seconds=statistics.median(begin for begin, _ in times),
            seconds=statistics.median(seconds for _, seconds in times),
        )
        for key, times in seen.items()
    ]
    operators.sort(key=lambda one: one.begin_seconds)
    seconds = statistics.median(run.dur for run in runs) / 1e6
    beside = max(0.0, seconds - sum(operator.seconds for operator in operators))
    return Trace(len(runs), seconds, tuple(operators), beside)


def _within(nodes: list[_Event], run: _Event) -> list[_Event]:
    return [node for node in nodes if run.ts <= node.ts < run.ts + run.dur]


def _first_shape(details: _Details) -> tuple[int, ...]:
    for output in details.output_type_shape:
        for sides in output.values():
            return tuple(sides)
    return ()


def _shown(name: str) -> str:
    return _UNSHOWN.sub("\ufffd", name)[:_MOST_NAME]
