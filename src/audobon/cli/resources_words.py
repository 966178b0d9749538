"""The rows, bars and small curves in which the command line shows resources."""

from collections.abc import Sequence
from typing import NamedTuple

from audobon.cli.queue_words import amount
from audobon.telemetry.figures import Figure
from audobon.telemetry.history import Point
from audobon.telemetry.resources import Sample

_OURS, _OTHERS, _FREE = "█", "▒", "·"
_STEPS = "▁▂▃▄▅▆▇█"
_NAME_WIDTH = 13

KEY = f"{_OURS} Audobon  {_OTHERS} other programs  {_FREE} free"


class Row(NamedTuple):
    """One resource.

    used, ours  shares of it, 0 to 1; None when there is no whole to be a share of, or it is not known
    """

    name: str
    used: float | None
    ours: float | None
    words: str


def rows_of(sample: Sample) -> list[Row]:
    """Return the resources of a sample, always in the same order."""
    return [
        _processor(sample),
        _memory(sample),
        _swap(sample),
        *_gpus(sample),
        _space(sample),
        _moved(sample),
    ]


def line_of(row: Row, *, width: int) -> str:
    """Return a row as one line, with a bar of this width."""
    shown = " " * width if row.used is None else bar(row.used, row.ours or 0.0, width=width)
    return f"{row.name:<{_NAME_WIDTH}} {shown}  {row.words}"


def bar(used: float, ours: float, *, width: int) -> str:
    """Return how much of something is used, and how much of that is Audobon's, as characters."""
    end = min(width, round(width * used))
    own = min(end, round(width * ours))
    return _OURS * own + _OTHERS * (end - own) + _FREE * (width - end)


def curve(points: Sequence[Point], *, since: float, until: float, width: int) -> str:
    """Return a figure over time as one line of characters, its most at full height; gaps stay empty."""
    highest = max((point.most for point in points), default=0.0)
    cells: list[float | None] = [None] * width
    for point in points:
        place = min(width - 1, max(0, int((point.at - since) / max(1.0, until - since) * width)))
        cells[place] = max(cells[place] or 0.0, point.most)
    return "".join(" " if cell is None else _STEPS[_height(cell, highest)] for cell in cells)


def in_words(figure: Figure, value: float) -> str:
    """Return a value with its unit."""
    if figure.endswith("percent"):
        return f"{value:.0f} %"
    if figure.endswith("per_second"):
        return _rate(value)
    return amount(int(value)) if figure.endswith("bytes") else f"{value:.2f}"


def _height(value: float, highest: float) -> int:
    return 0 if highest <= 0 else min(len(_STEPS) - 1, int(max(0.0, value) / highest * len(_STEPS)))


def _processor(sample: Sample) -> Row:
    use = sample.processor
    cores = f"{use.cores} core{'' if use.cores == 1 else 's'}"
    load = "" if use.load is None else f", load {use.load:.2f}"
    if use.percent is None:
        return Row("processor", None, None, f"not known yet; {cores}{load}")
    ours = use.ours_percent or 0.0
    words = f"{use.percent:.0f} % of {cores}, Audobon {ours:.0f} %{load}"
    return Row("processor", use.percent / 100, ours / 100, words)


def _memory(sample: Sample) -> Row:
    use = sample.memory
    used_bytes = use.total_bytes - use.available_bytes
    words = f"{amount(used_bytes)} of {amount(use.total_bytes)}, "
    if sample.processes:
        processes = f"{sample.processes} process{'' if sample.processes == 1 else 'es'}"
        words += f"Audobon {amount(use.ours_bytes)} in {processes}"
    else:
        words += "no engine runs"
    return Row("memory", _share(used_bytes, use.total_bytes), _share(use.ours_bytes, use.total_bytes), words)


def _swap(sample: Sample) -> Row:
    use = sample.memory
    if not use.swap_total_bytes:
        return Row("swap", None, None, "none")
    words = f"{amount(use.swap_used_bytes)} of {amount(use.swap_total_bytes)}"
    return Row("swap", _share(use.swap_used_bytes, use.swap_total_bytes), 0.0, words)


def _gpus(sample: Sample) -> list[Row]:
    if not sample.gpus:
        return [Row("graphics", None, None, sample.gpu_problem or "no NVIDIA GPU found")]
    rows = []
    for gpu in sample.gpus:
        words = f"{amount(gpu.used_bytes)} of {amount(gpu.total_bytes)}"
        if gpu.ours_bytes is not None:
            words += f", Audobon {amount(gpu.ours_bytes)}"
        if gpu.percent is not None:
            words += f", {gpu.percent:.0f} % busy"
        used, ours = _share(gpu.used_bytes, gpu.total_bytes), _share(gpu.ours_bytes or 0, gpu.total_bytes)
        rows.append(Row("graphics", used, ours, f"{words} ({gpu.name})"))
    return rows


def _space(sample: Sample) -> Row:
    disk = sample.disk
    words = f"{amount(disk.free_bytes)} free of {amount(disk.total_bytes)}, where the data folder lies"
    return Row("disk", _share(disk.total_bytes - disk.free_bytes, disk.total_bytes), 0.0, words)


def _moved(sample: Sample) -> Row:
    disk = sample.disk
    if disk.read_bytes_per_second is None or disk.written_bytes_per_second is None:
        return Row("disk traffic", None, None, "not known")
    words = f"{_rate(disk.read_bytes_per_second)} read, {_rate(disk.written_bytes_per_second)} written"
    ours_read, ours_written = disk.ours_read_bytes_per_second, disk.ours_written_bytes_per_second
    if ours_read is not None and ours_written is not None:
        words += f"; Audobon {_rate(ours_read)} and {_rate(ours_written)}"
    return Row("disk traffic", None, None, words)


def _rate(bytes_per_second: float) -> str:
    return f"{bytes_per_second / (1 << 20):.1f} MB/s"


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole else 0.0
