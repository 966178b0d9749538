"""A sheet of rectangles, lines and words, drawn as PNG or as SVG; just enough for figures of models."""

import html
import io
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

Anchor = Literal["start", "middle", "end"]
Colour = str
"""Written as #rrggbb."""

INK, FAINT, RULE, PAPER = "#1d2430", "#68717f", "#e3e6eb", "#ffffff"
_SHARPNESS = 2
_FAMILY = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"


class _Rectangle(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    fill: Colour
    tip: str


class _Line(NamedTuple):
    points: tuple[tuple[float, float], ...]
    colour: Colour
    width: float


class _Dot(NamedTuple):
    x: float
    y: float
    radius: float
    fill: Colour
    tip: str


class _Words(NamedTuple):
    x: float
    y: float
    text: str
    size: float
    colour: Colour
    anchor: Anchor
    is_bold: bool


class Sheet:
    """What is to be drawn, from the first to the last; lengths in pixels, from the left upper corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._marks: list[_Rectangle | _Line | _Dot | _Words] = []

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: Colour, *, tip: str = ""
    ) -> None:
        """Fill a rectangle; `tip` shows where a pointer rests on it."""
        self._marks.append(_Rectangle(x, y, width, height, fill, tip))

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: Colour,
        *,
        width: float = 1.0,
    ) -> None:
        """Draw a line through points."""
        self._marks.append(_Line(tuple(points), colour, width))

    def dot(self, x: float, y: float, radius: float, fill: Colour, *, tip: str = "") -> None:
        """Fill a circle."""
        self._marks.append(_Dot(x, y, radius, fill, tip))

    def words(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 15,
        colour: Colour = INK,
        anchor: Anchor = "start",
        is_bold: bool = False,
    ) -> None:
        """Write a line of text, its middle at height `y`."""
        self._marks.append(_Words(x, y, text, size, colour, anchor, is_bold))

    def png(self) -> bytes:
        """Return the sheet as a PNG file."""
        from PIL import Image, ImageDraw

        large = Image.new("RGB", (self.width * _SHARPNESS, self.height * _SHARPNESS), PAPER)
        draw = ImageDraw.Draw(large)
        for mark in self._marks:
            _paint(draw, mark)
        small = large.resize((self.width, self.height), Image.Resampling.LANCZOS)
        target = io.BytesIO()
        small.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            target, "PNG", optimize=True
        )
        return target.getvalue()

    def svg(self) -> str:
        """Return the sheet as SVG, to stand in a page."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
            f' font-family="{html.escape(_FAMILY)}" role="img">'
        )
        return "\n".join([head, *(_element(mark) for mark in self._marks), "</svg>"])


def width_of(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return how wide a line of text will be."""
    return float(_font(size).getlength(_with_its_letters(text))) / _SHARPNESS + (1 if is_bold else 0)


def fitted(text: str, size: float, room: float) -> str:
    """Return as much of a text as fits into a width, with an ellipsis where it was cut; maybe nothing."""
    if width_of(text, size) <= room:
        return text
    while text and width_of(text + "…", size) > room:
        text = text[:-1]
    return text + "…" if len(text) > 1 else ""


def _with_its_letters(text: str) -> str:
    """Return the text in letters that Pillow's own font has; those of systems differ."""
    return text.replace("×", "x")


@cache
def _font(size: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size * _SHARPNESS)


def _paint(draw: Any, mark: "_Rectangle | _Line | _Dot | _Words") -> None:
    s = _SHARPNESS
    if isinstance(mark, _Rectangle):
        right, bottom = (mark.x + mark.width) * s - 1, (mark.y + mark.height) * s - 1
        draw.rectangle((mark.x * s, mark.y * s, max(mark.x * s, right), max(mark.y * s, bottom)), mark.fill)
    elif isinstance(mark, _Dot):
        draw.circle((mark.x * s, mark.y * s), mark.radius * s, mark.fill)
    elif isinstance(mark, _Words):
        anchor = {"start": "lm", "middle": "mm", "end": "rm"}[mark.anchor]
        stroke = 1 if mark.is_bold else 0
        place = (mark.x * s, mark.y * s)
        text = _with_its_letters(mark.text)
        draw.text(place, text, mark.colour, _font(mark.size), anchor, stroke_width=stroke)
    else:
        points = [(x * s, y * s) for x, y in mark.points]
        width = max(1, round(mark.width * s))
        draw.line(points, mark.colour, width, joint="curve")


def _element(mark: "_Rectangle | _Line | _Dot | _Words") -> str:
    if isinstance(mark, _Words):
        weight = ' font-weight="600"' if mark.is_bold else ""
        return (
            f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:g}" fill="{mark.colour}"{weight}'
            f' text-anchor="{mark.anchor}" dominant-baseline="central">{html.escape(mark.text)}</text>'
        )
    if isinstance(mark, _Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
        return (
            f'<polyline points="{points}" fill="none" stroke="{mark.colour}" stroke-width="{mark.width:g}"/>'
        )
    tip = f"<title>{html.escape(mark.tip)}</title>" if mark.tip else ""
    if isinstance(mark, _Dot):
        place = f'cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:g}"'
        return f'<circle {place} fill="{mark.fill}">{tip}</circle>'
    place = f'x="{mark.x:.2f}" y="{mark.y:.2f}" width="{mark.width:.2f}" height="{mark.height:.2f}"'
    return f'<rect {place} fill="{mark.fill}">{tip}</rect>'
