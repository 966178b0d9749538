"""What stands around the wren in the sample comic: trees, hills, the workshop and its press."""

import math
import random

from ink import Colour, Point, Points, Sheet, oval, smooth

RED, RED_SHADE = (214, 62, 54), (168, 40, 46)
IRON, IRON_SHADE, IRON_LIGHT = (58, 104, 108), (38, 74, 82), (98, 150, 148)
BRASS, BRASS_SHADE = (232, 182, 78), (190, 134, 48)
PAPER, PAPER_SHADE = (255, 250, 238), (228, 216, 196)
LEAVES = ((112, 166, 76), (140, 188, 88), (88, 142, 74))


def branch(sheet: Sheet, points: Points, thick: float) -> None:
    """Draw a branch along the points, thick at their beginning."""
    spine = smooth(points, closed=False)
    upper, lower = [], []
    for index, (x, y) in enumerate(spine):
        half = thick / 2 * (1 - 0.75 * index / len(spine))
        upper.append((x, y - half))
        lower.append((x, y + half))
    sheet.shape(
        [*upper, *reversed(lower)], (134, 92, 66), shade=(98, 64, 52), light=(0, -thick * 0.36), width=2.8
    )
    for k in range(3, len(spine) - 8, 9):
        x, y = spine[k]
        half = thick * (1 - 0.75 * k / len(spine))
        ahead = spine[k + 5]
        sheet.stroke([(x, y - half * 0.12), (ahead[0], ahead[1] - half * 0.06)], 1.5, (98, 64, 52))


def leaf(sheet: Sheet, x: float, y: float, length: float, turn: float, colour: Colour) -> None:
    """Draw a leaf that grows from (x, y) in this direction, in degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    shape = [(0, 0), (0.3, -0.24), (0.68, -0.2), (1, 0), (0.68, 0.2), (0.3, 0.24)]
    placed = [(x + length * (a * cos - b * sin), y + length * (a * sin + b * cos)) for a, b in shape]
    shade = (colour[0] - 34, colour[1] - 34, colour[2] - 18)
    sheet.shape(smooth(placed), colour, shade=shade, light=(-length * 0.04, -length * 0.1), width=1.8)
    rib = [(x + length * k * cos, y + length * k * sin) for k in (0.05, 0.4, 0.8)]
    sheet.stroke(rib, 1.3, shade)


def foliage(sheet: Sheet, points: Points, length: float, count: int, seed: int) -> None:
    """Strew leaves along the points, the same ones for the same seed."""
    chance = random.Random(seed)
    spine = smooth(points, closed=False)
    for _ in range(count):
        x, y = chance.choice(spine)
        size = length * chance.uniform(0.7, 1.2)
        leaf(sheet, x, y, size, chance.uniform(0, 360), chance.choice(LEAVES))


def hills(sheet: Sheet, level: float, seed: int, colour: Colour, height: float) -> None:
    """Draw a line of soft hills across the sheet."""
    chance = random.Random(seed)
    crest = [(x, level - chance.uniform(0, height)) for x in range(-60, round(sheet.width) + 120, 90)]
    foot = [(sheet.width + 120, sheet.height + 90), (-60, sheet.height + 90)]
    sheet.fill([*smooth(crest, closed=False), *foot], colour)


def cloud(sheet: Sheet, x: float, y: float, size: float) -> None:
    """Draw a small flat cloud."""
    for dx, dy, radius in ((-0.9, 0.12, 0.42), (-0.3, -0.14, 0.6), (0.4, -0.02, 0.5), (0.95, 0.16, 0.34)):
        sheet.dot(x + dx * size, y + dy * size, radius * size, radius * size * 0.72, (255, 255, 255))


def press(sheet: Sheet, x: float, y: float, unit: float, *, lever: float = -14) -> Point:
    """Draw a hand press standing at (x, y); return where its lever's knob is."""

    def at(points: Points) -> list[Point]:
        return [(x + px * unit, y + py * unit) for px, py in points]

    def block(points: Points, colour: Colour = IRON, shade: Colour = IRON_SHADE) -> None:
        sheet.shape(at(points), colour, shade=shade, light=(-0.05 * unit, -0.06 * unit), width=2.8)

    sheet.dot(x, y, 1.6 * unit, 0.13 * unit, (104, 62, 46))
    block([(-1.0, -0.36), (1.0, -0.36), (1.0, -0.24), (-1.0, -0.24)], IRON_SHADE, (28, 54, 62))
    for side in (-1, 1):
        block([(side * 0.62, -0.75), (side * 0.95, -0.75), (side * 1.15, 0), (side * 0.75, 0)])
    for k in range(3):
        block(
            [(-0.56, -1.06 + 0.03 * k), (0.56, -1.06 + 0.03 * k), (0.6, -0.98), (-0.6, -0.98)],
            PAPER,
            PAPER_SHADE,
        )
    block([(-1.65, -0.98), (1.65, -0.98), (1.65, -0.72), (-1.65, -0.72)])
    for k in (-1.35, -0.45, 0.45, 1.35):
        sheet.shape(oval(x + k * unit, y - 0.85 * unit, 0.07 * unit, 0.07 * unit), BRASS, width=1.8)
    for side in (-1, 1):
        block([(side * 0.78, -2.35), (side * 1.02, -2.35), (side * 1.02, -0.98), (side * 0.78, -0.98)])
    block([(-0.13, -2.2), (0.13, -2.2), (0.13, -1.4), (-0.13, -1.4)], BRASS, BRASS_SHADE)
    for k in range(6):
        sheet.stroke(at([(-0.13, -2.05 + 0.1 * k), (0.13, -2.1 + 0.1 * k)]), 1.6, BRASS_SHADE)
    block([(-0.68, -1.42), (0.68, -1.42), (0.6, -1.2), (-0.6, -1.2)])
    arch = [
        (-1.2, -2.3),
        (-1.05, -2.62),
        (-0.5, -2.72),
        (0, -2.95),
        (0.5, -2.72),
        (1.05, -2.62),
        (1.2, -2.3),
        (0, -2.24),
    ]
    sheet.shape(smooth(at(arch)), IRON, shade=IRON_SHADE, light=(-0.05 * unit, -0.08 * unit), width=3)
    sheet.stroke(smooth(at([(-0.95, -2.44), (-0.5, -2.54), (-0.24, -2.62)]), closed=False), 3, BRASS)
    sheet.stroke(smooth(at([(0.24, -2.62), (0.5, -2.54), (0.95, -2.44)]), closed=False), 3, BRASS)
    for side in (-1, 1):
        sheet.stroke(at([(side * 0.9 - 0.04, -2.2), (side * 0.9 - 0.04, -1.1)]), 2.4, IRON_LIGHT)
    sheet.shape(oval(x, y - 2.54 * unit, 0.17 * unit, 0.17 * unit), BRASS, shade=BRASS_SHADE, width=2.2)
    turn = math.radians(lever)
    knob = (x + 1.75 * unit * math.cos(turn), y - 1.62 * unit + 1.75 * unit * math.sin(turn))
    bar = at([(0, -1.68), (0, -1.54)])
    sheet.shape(
        [bar[0], (knob[0], knob[1] - 0.05 * unit), (knob[0], knob[1] + 0.05 * unit), bar[1]],
        IRON_LIGHT,
        shade=IRON,
        width=2.4,
    )
    sheet.shape(oval(*knob, 0.13 * unit, 0.13 * unit), RED, shade=RED_SHADE, width=2.4)
    return knob


def workshop(sheet: Sheet, floor: float, *, window: Point | None = None, seed: int = 5) -> None:
    """Draw a warm room with a boarded floor from this height down."""
    sheet.sky((120, 84, 92), (206, 140, 98))
    chance = random.Random(seed)
    for x in range(-30, round(sheet.width) + 60, 62):
        sheet.stroke([(x, 0), (x + 2, floor)], 1.6, (122, 80, 82))
    if window:
        wx, wy = window
        sheet.shape(oval(wx, wy, 54, 54), (255, 226, 150), width=6)
        sheet.fill(
            smooth(
                [
                    (wx - 47, wy + 24),
                    (wx - 10, wy + 6),
                    (wx + 46, wy + 22),
                    (wx + 28, wy + 44),
                    (wx, wy + 52),
                    (wx - 28, wy + 44),
                ]
            ),
            (180, 200, 110),
        )
        sheet.stroke([(wx, wy - 54), (wx, wy + 54)], 5)
        sheet.stroke([(wx - 54, wy), (wx + 54, wy)], 5)
        sheet.glow(wx, wy, 120, (255, 226, 150), 0.1)
    sheet.fill(
        [(0, floor), (sheet.width, floor), (sheet.width, sheet.height), (0, sheet.height)], (150, 92, 62)
    )
    sheet.stroke([(-5, floor), (sheet.width / 2, floor), (sheet.width + 5, floor)], 3.4)
    for k in range(12):
        y = floor + 14 * 1.28**k
        if y < sheet.height:
            start = chance.uniform(-80, 60)
            sheet.stroke(
                [(start, y), (sheet.width / 2, y), (sheet.width + start + 60, y)], 1.8, (112, 66, 50)
            )


def shelf(sheet: Sheet, x: float, y: float, width: float) -> None:
    """Draw a shelf with pots of ink."""
    colours = ((70, 130, 180), RED, (236, 190, 70), (90, 150, 90), (130, 90, 150))
    for k in range(int(width // 30)):
        left, colour = x + 8 + 30 * k, colours[k % 5]
        tall = 22 + 7 * (k * 7 % 3)
        shade = (colour[0] - 40, colour[1] - 40, colour[2] - 40)
        sheet.shape(
            [(left, y - tall), (left + 20, y - tall), (left + 21, y), (left - 1, y)],
            colour,
            shade=shade,
            width=2,
        )
        sheet.fill(
            [
                (left + 2, y - tall * 0.65),
                (left + 18, y - tall * 0.65),
                (left + 18, y - tall * 0.3),
                (left + 2, y - tall * 0.3),
            ],
            PAPER,
        )
    sheet.shape(
        [(x, y), (x + width, y), (x + width, y + 8), (x, y + 8)],
        (134, 92, 66),
        shade=(98, 64, 52),
        light=(0, -3),
        width=2.2,
    )
