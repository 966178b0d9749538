"""Draws a profile: one run operator by operator, time by kind, the slowest, and memory by size."""

import html
import math
from collections.abc import Sequence

from audobon.models.drawing import FAINT, INK, PAPER, RULE, Anchor, Colour, Sheet, fitted, width_of
from audobon.models.profile_trace import Operator
from audobon.models.profiling import MemoryPoint, Profile

_WIDTH, _HEIGHT, _MARGIN = 1440, 900, 48
# Told apart by people who see fewer colours too. source: Okabe and Ito, jfly.uni-koeln.de/color, 2008
_COLOURS: tuple[Colour, ...] = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8f7fc9")
_OTHERS, _BESIDE = "#a3abb8", "#eef0f3"
_FAST, _LEAN = "#0072b2", "#d55e00"
_FAST_PALE, _LEAN_PALE, _BESIDE_PALE = "#cfe4f2", "#f8dfce", "#dcdfe5"
_BARS = 8


def profile_png(profile: Profile) -> bytes:
    """Return the profile as a PNG picture."""
    return _sheet(profile).png()


def profile_page(profile: Profile) -> str:
    """Return the profile as a page that needs nothing else: the picture, and every operator in a table."""
    rows = "\n".join(
        f"<tr><td>{index}</td><td>{html.escape(one.kind)}</td><td>{html.escape(one.name)}</td>"
        f"<td>{shape_words(one.shape)}</td><td>{one.seconds * 1e3:.3f}</td>"
        f"<td>{one.seconds / profile.trace.seconds * 100:.1f} %</td></tr>"
        for index, one in enumerate(profile.trace.operators, start=1)
    )
    return _PAGE.format(name=html.escape(profile.name), picture=_sheet(profile).svg(), rows=rows)


def shape_words(shape: Sequence[int]) -> str:
    """Return the sides of a tensor as people write them."""
    return "×".join(str(side) for side in shape)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}: profile</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1d2430; margin: 0 auto;
  max-width: 1440px; padding: 0 0 4rem; background: #fff }}
svg {{ width: 100%; height: auto; display: block }}
table {{ border-collapse: collapse; margin: 0 3.3%; width: 93.4% }}
th, td {{ text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e3e6eb }}
th:nth-child(n+5), td:nth-child(n+5) {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body>
{picture}
<table><thead><tr><th>#</th><th>kind</th><th>operator</th><th>gives</th><th>ms</th><th>share</th></tr></thead>
<tbody>
{rows}
</tbody></table>
</body></html>
"""


def _sheet(profile: Profile) -> Sheet:
    sheet = Sheet(_WIDTH, _HEIGHT)
    colours = {kind.kind: colour for kind, colour in zip(profile.kinds, _COLOURS, strict=False)}
    _heading(sheet, profile)
    _run(sheet, profile, colours, top=156)
    half = (_WIDTH - 3 * _MARGIN) / 2
    end = _kinds(sheet, profile, colours, left=_MARGIN, top=322, width=half)
    _slowest(sheet, profile, colours, left=_MARGIN, top=end + 34, width=half)
    _memory(sheet, profile, left=2 * _MARGIN + half, top=322, width=half, height=546)
    return sheet


def _heading(sheet: Sheet, profile: Profile) -> None:
    sheet.words(_MARGIN, 50, profile.name, size=30, is_bold=True)
    cores = "1 thread" if profile.threads == 1 else f"{profile.threads} threads"
    facts = (
        f"a run of {profile.size} takes {_duration(profile.trace.seconds)} with {cores}"
        f"  ·  loads in {_duration(profile.cold_seconds)} from the disk,"
        f" {_duration(profile.warm_seconds)} from memory"
    )
    sheet.words(_MARGIN, 84, profile.title, size=16, colour=FAINT)
    sheet.words(_MARGIN, 108, facts, size=16, colour=FAINT)


def _run(sheet: Sheet, profile: Profile, colours: dict[str, Colour], *, top: float) -> None:
    """Draw one run as a flame: the whole above, its operators below, as long as they took."""
    _title(sheet, _MARGIN, top, "One run, operator by operator")
    width, bar = _WIDTH - 2 * _MARGIN, 44
    operators = profile.trace.operators
    whole = profile.trace.seconds
    scale = width / whole
    y = top + 26
    sheet.rectangle(_MARGIN, y, width, 24, INK, tip=f"a run: {_duration(whole)}")
    beside = f"a run, {_duration(whole)}; {profile.trace.beside_seconds / whole:.0%} of it beside operators"
    sheet.words(_MARGIN + 10, y + 12, beside, size=13, colour=PAPER)
    y += 26
    sheet.rectangle(_MARGIN, y, width, bar, _BESIDE)
    # Medians of different runs need not add up to one run.
    end = max((one.begin_seconds + one.seconds for one in operators), default=whole)
    scale *= min(1.0, whole / end)
    for one in operators:
        left, long = _MARGIN + one.begin_seconds * scale, one.seconds * scale
        tip = f"{one.kind} {one.name} {shape_words(one.shape)}: {_duration(one.seconds)}"
        gap = 1 if long > 4 else 0
        sheet.rectangle(left, y, max(0.5, long - gap), bar, colours.get(one.kind, _OTHERS), tip=tip)
        for row, text in ((15, one.kind), (31, _duration(one.seconds))):
            label = fitted(text, 13, long - 12)
            if label == text:
                sheet.words(left + 7, y + row, label, size=13, colour=PAPER, is_bold=row == 15)
    for step in _ticks(whole * 1e3, 8):
        x = _MARGIN + step / 1e3 * (width / whole)
        sheet.line([(x, y + bar), (x, y + bar + 6)], FAINT)
        # The last one ends with the bar instead of running out of the picture.
        is_last = x > _MARGIN + width - 40
        anchor: Anchor = "start" if step == 0 else "end" if is_last else "middle"
        sheet.words(x, y + bar + 18, f"{step:g} ms", size=13, colour=FAINT, anchor=anchor)


def _kinds(
    sheet: Sheet, profile: Profile, colours: dict[str, Colour], *, left: float, top: float, width: float
) -> float:
    """Draw bars; return where they end."""
    _title(sheet, left, top, "Time by kind of operator")
    rows = [(kind.kind, kind.count, kind.seconds, kind.share) for kind in profile.kinds]
    if len(rows) > _BARS:
        rest = rows[_BARS - 1 :]
        others = (
            f"{len(rest)} others",
            sum(row[1] for row in rest),
            sum(row[2] for row in rest),
            sum(row[3] for row in rest),
        )
        rows = [*rows[: _BARS - 1], others]
    names = max(width_of(name, 14) for name, *_ in rows) if rows else 0
    names = min(names, 190)
    room = width - names - 16 - 170
    longest = max((row[2] for row in rows), default=1.0) or 1.0
    for index, (name, count, seconds, share) in enumerate(rows):
        y = top + 34 + index * 30
        sheet.words(left, y + 10, fitted(name, 14, names), size=14)
        bar = max(1.0, room * seconds / longest)
        sheet.rectangle(left + names + 16, y, bar, 20, colours.get(name, _OTHERS))
        figures = f"{_duration(seconds)}   {share:.1%}   ×{count}"
        sheet.words(left + names + 16 + bar + 10, y + 10, figures, size=13, colour=FAINT)
    return top + 34 + len(rows) * 30


def _slowest(
    sheet: Sheet, profile: Profile, colours: dict[str, Colour], *, left: float, top: float, width: float
) -> None:
    _title(sheet, left, top, "Slowest operators")
    fit = int((_HEIGHT - 24 - top - 38) / 26)
    for index, one in enumerate(profile.trace.slowest(fit)):
        y = top + 38 + index * 26
        sheet.rectangle(left, y - 6, 12, 12, colours.get(one.kind, _OTHERS))
        sheet.words(left + 22, y, fitted(_name(one), 14, width - 290), size=14)
        sheet.words(left + width - 110, y, shape_words(one.shape), size=13, colour=FAINT, anchor="end")
        sheet.words(left + width, y, _duration(one.seconds), size=14, anchor="end")
        sheet.line([(left, y + 13), (left + width, y + 13)], RULE)


def _name(one: Operator) -> str:
    return one.kind if one.name in ("", one.kind) else f"{one.kind}  {one.name}"


def _memory(sheet: Sheet, profile: Profile, *, left: float, top: float, width: float, height: float) -> None:
    """Draw memory over pixels at once: two ways to run, and what the card says of each."""
    _title(sheet, left, top, "Memory by size, at the peak")
    points = profile.memory
    if not points:
        return
    axis_left, axis_bottom = left + 64, top + height - 44
    plot_width, plot_height = width - 64 - 12, height - 44 - 66
    most_pixels = max(point.pixels for point in points) * 1.04
    highest = max(max(point.peak_bytes, point.expected_bytes) for point in points) / (1 << 20) * 1.06

    def place(pixels: float, megabytes: float) -> tuple[float, float]:
        return (
            axis_left + plot_width * pixels / most_pixels,
            axis_bottom - plot_height * megabytes / highest,
        )

    for step in _ticks(highest, 6):
        y = place(0, step)[1]
        sheet.line([(axis_left, y), (axis_left + plot_width, y)], RULE)
        sheet.words(axis_left - 10, y, f"{step:g} MB", size=13, colour=FAINT, anchor="end")
    _sizes(sheet, points, place, axis_bottom)
    ways = [[point for point in points if point.lean is lean] for lean in (False, True)]
    for way, pale in zip(ways, (_FAST_PALE, _LEAN_PALE), strict=True):
        sheet.line([place(point.pixels, point.expected_bytes / (1 << 20)) for point in way], pale, width=13)
    for way, colour in zip(ways, (_FAST, _LEAN), strict=True):
        measured = [place(point.pixels, point.peak_bytes / (1 << 20)) for point in way]
        sheet.line(measured, colour, width=2.5)
        for point, (x, y) in zip(way, measured, strict=True):
            tip = f"{point.size}: {point.peak_bytes >> 20} MB, card {point.expected_bytes >> 20} MB"
            sheet.dot(x, y, 4.5, colour, tip=tip)
    x = left + 64
    for text, colour, thickness in (
        ("fast, measured", _FAST, 2.5),
        ("lean, measured", _LEAN, 2.5),
        ("as its card says", _BESIDE_PALE, 13),
    ):
        sheet.line([(x, top + 36), (x + 30, top + 36)], colour, width=thickness)
        sheet.words(x + 38, top + 36, text, size=14, colour=FAINT)
        x += 38 + width_of(text, 14) + 28


def _sizes(sheet: Sheet, points: Sequence[MemoryPoint], place: object, bottom: float) -> None:
    assert callable(place)
    free_from = -math.inf
    for point in sorted({(one.pixels, one.size) for one in points}, reverse=False):
        pixels, size = point
        x = place(pixels, 0)[0]
        sheet.line([(x, bottom), (x, bottom + 6)], FAINT)
        half = width_of(size, 13) / 2
        # Small sizes lie close together: what would overlap goes unnamed.
        if x - half > free_from:
            sheet.words(x, bottom + 18, size, size=13, colour=FAINT, anchor="middle")
            free_from = x + half + 8


def _title(sheet: Sheet, left: float, y: float, text: str) -> None:
    sheet.words(left, y, text, size=18, is_bold=True)


def _ticks(most: float, count: int) -> list[float]:
    """Return round numbers from 0 to `most`, about so many."""
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [round(index * step, 9) for index in range(int(most / step) + 1)]


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1e3
    places = 0 if milliseconds >= 100 else 1 if milliseconds >= 10 else 2
    return f"{milliseconds:.{places}f} ms"
