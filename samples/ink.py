"""Pen and brush for the sample comic: inked curves, shaded flats, balloons and lettering.

Draws at SCALE times the size and in pixels of the finished page; reduce with `finished`.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

SCALE = 4
INK = (44, 28, 34)
WHITE = (255, 255, 255)

Colour = tuple[int, int, int]
Point = tuple[float, float]
Points = Sequence[Point]


def smooth(points: Points, *, closed: bool = True, steps: int = 14) -> list[Point]:
    """Return a curve through the points (Catmull-Rom)."""
    count = len(points)
    curve: list[Point] = []
    for i in range(count if closed else count - 1):
        near = [points[(i + k) % count if closed else min(max(i + k, 0), count - 1)] for k in (-1, 0, 1, 2)]
        for step in range(steps):
            t = step / steps
            weights = (
                -t + 2 * t**2 - t**3,
                2 - 5 * t**2 + 3 * t**3,
                t + 4 * t**2 - 3 * t**3,
                -(t**2) + t**3,
            )
            curve.append(
                (
                    sum(w * p[0] for w, p in zip(weights, near, strict=True)) / 2,
                    sum(w * p[1] for w, p in zip(weights, near, strict=True)) / 2,
                )
            )
    return curve if closed else [*curve, points[-1]]


def oval(x: float, y: float, across: float, down: float) -> list[Point]:
    """Return the outline of an upright ellipse with these half-axes."""
    turns = [2 * math.pi * k / 72 for k in range(72)]
    return [(x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns]


class Sheet:
    """A sheet to draw on, in finished pixels."""

    def __init__(self, width: float, height: float, colour: Colour = WHITE) -> None:
        self.width, self.height = width, height
        self.image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), colour)
        self.pen = ImageDraw.Draw(self.image)

    def sky(self, top: Colour, bottom: Colour) -> None:
        """Fill the sheet with a fade from top to bottom, in steps a flat print would have."""
        width, height = self.image.size
        fade = np.round(np.linspace(0, 1, height) * 40)[:, None] / 40
        rows = np.array(top) * (1 - fade) + np.array(bottom) * fade
        pixels = np.repeat(np.round(rows).astype(np.uint8)[:, None, :], width, axis=1)
        self.image.paste(Image.fromarray(pixels))

    def fill(
        self, outline: Points, colour: Colour, *, shade: Colour | None = None, light: Point = (0, 0)
    ) -> None:
        """Fill a shape; where the shape moved by `light` does not reach, with the shade."""
        spots = [(x * SCALE, y * SCALE) for x, y in outline]
        self.pen.polygon(spots, fill=colour)
        if shade is None:
            return
        left, top = math.floor(min(x for x, _ in spots)), math.floor(min(y for _, y in spots))
        size = (
            math.ceil(max(x for x, _ in spots)) - left + 1,
            math.ceil(max(y for _, y in spots)) - top + 1,
        )
        whole, lit = Image.new("L", size), Image.new("L", size)
        ImageDraw.Draw(whole).polygon([(x - left, y - top) for x, y in spots], fill=255)
        moved = [(x - left + light[0] * SCALE, y - top + light[1] * SCALE) for x, y in spots]
        ImageDraw.Draw(lit).polygon(moved, fill=255)
        self.image.paste(shade, (left, top), ImageChops.subtract(whole, lit))

    def stroke(self, line: Points, width: float, colour: Colour = INK, *, closed: bool = False) -> None:
        """Draw a line that swells where it runs down to the right, as from a soft nib."""
        ends = [*line, line[0]] if closed else list(line)
        total = max(1, len(ends) - 1)
        for index, (start, end) in enumerate(itertools.pairwise(ends)):
            way = math.atan2(end[1] - start[1], end[0] - start[0])
            nib = 0.72 + 0.38 * math.sin(way - 0.6)
            if not closed:
                nib *= 0.35 + 0.75 * math.sin(math.pi * (0.12 + 0.76 * index / total))
            radius = max(0.3, width * nib / 2)
            steps = max(1, math.ceil(math.dist(start, end) * SCALE / 2))
            for step in range(steps):
                x = start[0] + (end[0] - start[0]) * step / steps
                y = start[1] + (end[1] - start[1]) * step / steps
                self.dot(x, y, radius, radius, colour)

    def shape(
        self,
        outline: Points,
        colour: Colour,
        *,
        shade: Colour | None = None,
        light: Point = (-3, -4),
        width: float = 2.4,
    ) -> None:
        """Draw a filled shape with an inked outline."""
        self.fill(outline, colour, shade=shade, light=light)
        self.stroke(outline, width, closed=True)

    def dot(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """Draw a filled ellipse without an outline."""
        box = [(x - across) * SCALE, (y - down) * SCALE, (x + across) * SCALE, (y + down) * SCALE]
        self.pen.ellipse(box, fill=colour)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Lighten a round patch in three flat rings."""
        for ring in (1.0, 0.72, 0.46):
            mask = Image.new("L", self.image.size)
            box = [(x - radius * ring) * SCALE, (y - radius * ring) * SCALE]
            box += [(x + radius * ring) * SCALE, (y + radius * ring) * SCALE]
            ImageDraw.Draw(mask).ellipse(box, fill=round(255 * strength))
            self.image.paste(colour, (0, 0), mask)

    def paste(self, other: "Sheet", x: float, y: float, *, turn: float = 0) -> None:
        """Put another sheet here by its middle, turned left by so many degrees."""
        picture = other.image.convert("RGBA").rotate(turn, Image.Resampling.BICUBIC, expand=True)
        place = round(x * SCALE - picture.width / 2), round(y * SCALE - picture.height / 2)
        self.image.paste(picture, place, picture)

    def panel(self, art: "Sheet", x: float, y: float, *, frame: Colour = INK) -> None:
        """Put a drawing on the page and rule a frame around it."""
        self.image.paste(art.image, (round(x * SCALE), round(y * SCALE)))
        far = ((x + art.width) * SCALE - 1, (y + art.height) * SCALE - 1)
        self.pen.rectangle([(x * SCALE, y * SCALE), far], outline=frame, width=round(2.6 * SCALE))

    def balloon(self, x: float, y: float, lines: Sequence[str], tip: Point, *, size: float = 19) -> None:
        """Letter a balloon around (x, y) whose tail ends at the tip."""
        font = ImageFont.load_default(size=size * SCALE)
        widest = max(font.getlength(line) for line in lines) / SCALE
        across = widest * 0.62 + 16
        down = len(lines) * size * 0.74 + 15
        steep = abs(tip[1] - y) > abs(tip[0] - x)
        along, fall = (0.35, 0.75) if steep else (0.75, 0.4)
        bend = (x + (tip[0] - x) * along, y + (tip[1] - y) * fall)
        spine = smooth([(x, y), bend, tip], closed=False, steps=24)
        left, right = [], []
        for index, (here, there) in enumerate(itertools.pairwise(spine)):
            away = max(0.01, math.dist(here, there))
            half = 11 * (1 - index / len(spine)) / away
            left.append((here[0] - (there[1] - here[1]) * half, here[1] + (there[0] - here[0]) * half))
            right.append((here[0] + (there[1] - here[1]) * half, here[1] - (there[0] - here[0]) * half))
        tail = [*left, tip, *reversed(right)]
        self.dot(x, y, across + 2.1, down + 2.1, INK)
        self.stroke(tail, 4.4)
        self.fill(tail, WHITE)
        self.dot(x, y, across, down, WHITE)
        for row, line in enumerate(lines):
            middle = y + (row - (len(lines) - 1) / 2) * size * 1.18
            spot = (x * SCALE, middle * SCALE)
            self.pen.text(spot, line, INK, font, anchor="mm", stroke_width=1, stroke_fill=INK)

    def sound(self, x: float, y: float, word: str, *, size: float, turn: float) -> None:
        """Letter a slanted sound effect with its middle at (x, y)."""
        layer = Image.new("RGBA", self.image.size)
        pen = ImageDraw.Draw(layer)
        pens = [ImageFont.load_default(size=size * SCALE * (1 + 0.1 * (k % 2))) for k in range(len(word))]
        for stroke, colour in ((9, INK), (5, (214, 62, 44)), (1.2, (255, 214, 64))):
            at = layer.width / 2 - sum(pen_.getlength(c) for pen_, c in zip(pens, word, strict=True)) / 2
            for index, (letter, font) in enumerate(zip(word, pens, strict=True)):
                spot = (at, layer.height / 2 + (size * 0.08 if index % 2 else -size * 0.04) * SCALE)
                pen.text(spot, letter, colour, font, anchor="lm", stroke_width=round(stroke * SCALE / 2))
                at += font.getlength(letter) + size * 0.05 * SCALE
        layer = layer.rotate(turn, Image.Resampling.BICUBIC)
        place = round(x * SCALE - layer.width / 2), round(y * SCALE - layer.height / 2)
        self.image.paste(layer, place, layer)

    def finished(self) -> Image.Image:
        """Return the drawing at its finished size."""
        size = round(self.width), round(self.height)
        return self.image.resize(size, Image.Resampling.LANCZOS)
