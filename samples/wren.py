"""The wren of the sample comic, and her portrait."""

import math

from PIL import Image

from ink import INK, SCALE, Colour, Point, Points, Sheet, oval, smooth

BROWN, BROWN_SHADE, BROWN_DARK = (178, 112, 62), (146, 86, 48), (112, 64, 40)
CREAM, CREAM_SHADE = (250, 232, 198), (232, 203, 160)
RED, RED_SHADE = (214, 62, 54), (168, 40, 46)
BEAK, BEAK_SHADE, BLUSH = (240, 168, 60), (190, 134, 48), (236, 146, 110)
PAPER, GRASS = (255, 250, 238), (112, 166, 76)


class Wren:
    """The heroine, in one pose; (x, y) is the middle of her body, size its radius."""

    def __init__(self, sheet: Sheet, x: float, y: float, size: float, *, left: bool = False, lean: float = 0):
        self.sheet, self.x, self.y, self.size = sheet, x, y, size
        self.flip = -1 if left else 1
        self.lean = math.radians(lean)
        self.pen = max(1.3, size * 0.042)

    def at(self, points: Points) -> list[Point]:
        """Return points of her own, body radius 1 and facing right, on the sheet."""
        cos, sin = math.cos(self.lean), math.sin(self.lean)
        return [
            (
                self.x + self.flip * self.size * (px * cos - py * sin),
                self.y + self.size * (px * sin + py * cos),
            )
            for px, py in points
        ]

    def part(self, points: Points, colour: Colour, shade: Colour | None = None, pen: float = 1) -> None:
        """Draw a rounded, shaded part of her."""
        light = (-0.09 * self.size, -0.13 * self.size)
        self.sheet.shape(smooth(self.at(points)), colour, shade=shade, light=light, width=self.pen * pen)

    def line(self, points: Points, pen: float = 1, colour: Colour = INK) -> None:
        """Draw a curved line on her."""
        curve = smooth(self.at(points), closed=False)
        self.sheet.stroke(curve, self.pen * pen, colour)

    def draw(
        self,
        *,
        wing: str = "folded",
        beak: str = "closed",
        eye: str = "open",
        look: Point = (0.05, 0),
        legs: bool = True,
    ) -> None:
        """Draw her; wing folded, up or out; beak closed, open or smile; eye open, happy or worried."""
        if legs:
            for hip in (-0.12, 0.22):
                self.line([(hip, 0.85), (hip + 0.04, 1.16), (hip, 1.38)], 1.5, BROWN_DARK)
                for toe in (-0.22, 0.14, 0.27):
                    self.line([(hip, 1.36), (hip + toe * 0.6, 1.36), (hip + toe, 1.42)], 1.2, BROWN_DARK)
        if wing == "up":
            far = [(0.6, 0.24), (1.08, 0.2), (1.42, 0.0), (1.72, -0.34), (1.66, 0.1), (1.3, 0.5), (0.7, 0.6)]
            self.part(far, BROWN_SHADE, BROWN_DARK)
        tail = [(-0.5, 0.1), (-1.0, -0.6), (-1.32, -1.12), (-1.12, -1.28), (-0.86, -1.12), (-0.38, -0.4)]
        self.part(tail, BROWN_SHADE, BROWN_DARK)
        for k in range(3):
            self.line([(-1.24 + 0.2 * k, -0.92 + 0.26 * k), (-0.86 + 0.16 * k, -1.0 + 0.26 * k)], 0.8)
        body = [(1.0, -0.5), (0.78, -0.97), (0.28, -1.12), (-0.22, -0.82), (-0.72, -0.22)]
        body += [(-0.8, 0.3), (-0.42, 0.82), (0.16, 0.96), (0.74, 0.64), (0.98, 0.06)]
        self.part(body, BROWN, BROWN_SHADE, 1.25)
        belly = [
            (0.93, -0.28),
            (0.95, 0.06),
            (0.72, 0.6),
            (0.16, 0.91),
            (-0.28, 0.8),
            (0.1, 0.42),
            (0.5, 0.05),
        ]
        light = (-0.09 * self.size, -0.13 * self.size)
        self.sheet.fill(smooth(self.at(belly)), CREAM, shade=CREAM_SHADE, light=light)
        for fx, fy in (
            (-0.6, -0.1),
            (-0.52, 0.14),
            (-0.66, 0.32),
            (-0.46, 0.46),
            (-0.3, 0.66),
            (-0.22, -0.62),
            (0.04, -0.72),
        ):
            self.line([(fx, fy), (fx + 0.07, fy + 0.06), (fx + 0.15, fy + 0.03)], 0.9, BROWN_DARK)
        for fx, fy in ((0.3, 0.68), (0.5, 0.52), (0.62, 0.3), (0.14, 0.76)):
            self.line([(fx, fy), (fx + 0.06, fy + 0.05), (fx + 0.12, fy + 0.01)], 0.7, BROWN)
        self._scarf()
        self._face(beak, eye, look)
        if wing == "folded":
            self._wing(
                [
                    (0.22, -0.1),
                    (0.34, 0.3),
                    (-0.02, 0.6),
                    (-0.5, 0.66),
                    (-1.0, 0.5),
                    (-0.52, 0.08),
                    (-0.15, -0.2),
                ]
            )
        elif wing == "out":
            self._wing(
                [
                    (0.0, 0.16),
                    (0.4, 0.1),
                    (0.86, 0.06),
                    (1.32, -0.14),
                    (1.12, 0.24),
                    (0.62, 0.5),
                    (0.08, 0.5),
                ]
            )
        elif wing == "up":
            self._wing(
                [
                    (0.16, 0.16),
                    (-0.02, -0.3),
                    (-0.24, -0.86),
                    (-0.62, -1.42),
                    (-0.74, -0.9),
                    (-0.62, -0.2),
                    (-0.2, 0.34),
                ]
            )

    def _wing(self, points: Points) -> None:
        self.part(points, BROWN_SHADE, BROWN_DARK)
        (ax, ay), (bx, by) = points[0], points[len(points) // 2]
        (cx, cy), (dx, dy) = points[1], points[-2]
        for k in (0.4, 0.56, 0.72):
            # Across the wing, narrower towards its tip.
            mx, my = ax + (bx - ax) * k, ay + (by - ay) * k + (cy + dy - ay - by) * 0.1
            nx, ny = (dx - cx) * 0.24 * (1.2 - k), (dy - cy) * 0.24 * (1.2 - k)
            bend = (mx + (bx - ax) * 0.07, my + (by - ay) * 0.07)
            self.line([(mx - nx, my - ny), bend, (mx + nx, my + ny)], 0.8)

    def _scarf(self) -> None:
        end = [(-0.36, -0.36), (-0.78, -0.3), (-1.12, -0.44), (-1.28, -0.14), (-0.9, -0.02), (-0.5, -0.12)]
        self.part(end, RED, RED_SHADE)
        band = [
            (-0.5, -0.5),
            (0.0, -0.2),
            (0.52, -0.1),
            (0.97, -0.22),
            (1.0, -0.02),
            (0.55, 0.12),
            (0.0, 0.04),
            (-0.6, -0.26),
        ]
        self.part(band, RED, RED_SHADE)
        for k in (0.1, 0.4, 0.7):
            self.line([(k, -0.12), (k + 0.05, 0.0), (k + 0.02, 0.06)], 0.7, RED_SHADE)

    def _face(self, beak: str, eye: str, look: Point) -> None:
        size = self.size
        brow = [
            (0.92, -0.74),
            (0.66, -0.94),
            (0.3, -0.92),
            (-0.06, -0.66),
            (0.02, -0.58),
            (0.32, -0.78),
            (0.62, -0.82),
        ]
        self.sheet.fill(smooth(self.at(brow)), CREAM)
        (cheek,) = self.at([(0.42, -0.26)])
        self.sheet.dot(*cheek, 0.15 * size, 0.08 * size, BLUSH)
        if beak in ("open", "smile"):
            gape = 0.3 if beak == "open" else 0.16
            self.part(
                [
                    (0.9, -0.44),
                    (1.22, -0.36 + gape * 0.55),
                    (1.3, -0.4 + gape),
                    (1.06, -0.32 + gape),
                    (0.86, -0.26),
                ],
                (176, 60, 56),
                pen=0.9,
            )
            self.part(
                [(0.86, -0.3), (1.08, -0.32 + gape * 0.75), (1.3, -0.38 + gape), (1.06, -0.2 + gape * 0.85)],
                BEAK,
                BEAK_SHADE,
                0.8,
            )
        lift = 0.08 if beak == "open" else 0.0
        self.part(
            [(0.9, -0.58), (1.15, -0.56 - lift), (1.48, -0.44 - lift), (1.15, -0.38), (0.9, -0.36)],
            BEAK,
            BEAK_SHADE,
            0.9,
        )
        if eye == "happy":
            self.line([(0.3, -0.44), (0.42, -0.62), (0.58, -0.64), (0.72, -0.48)], 2.2)
            return
        self.part(oval(0.5, -0.54, 0.23, 0.26), (255, 255, 255), (222, 226, 236), 1.0)
        (pupil,) = self.at([(0.52 + look[0], -0.53 + look[1])])
        self.sheet.dot(*pupil, 0.145 * size, 0.17 * size, INK)
        self.sheet.dot(
            pupil[0] - 0.05 * size, pupil[1] - 0.07 * size, 0.055 * size, 0.06 * size, (255, 255, 255)
        )
        self.sheet.dot(
            pupil[0] + 0.06 * size, pupil[1] + 0.07 * size, 0.025 * size, 0.025 * size, (255, 255, 255)
        )
        if eye == "worried":
            self.line([(0.24, -0.78), (0.42, -0.9), (0.6, -0.98)], 1.8)


def portrait(width: float, height: float, *, rough: int = 0) -> Sheet:
    """Return her picture on paper; rough is how many coarse squares go across, 0 for none."""
    sheet = Sheet(width, height, PAPER)
    edge = width * 0.07
    inner = Sheet(width - 2 * edge, height - 2 * edge)
    inner.sky((255, 214, 128), (250, 168, 118))
    middle = inner.width / 2
    inner.dot(middle, inner.height * 0.46, inner.width * 0.4, inner.width * 0.4, (255, 238, 180))
    inner.fill(
        smooth(
            [
                (-20, inner.height + 20),
                (-20, inner.height * 0.84),
                (middle, inner.height * 0.78),
                (inner.width + 20, inner.height * 0.86),
                (inner.width + 20, inner.height + 20),
            ]
        ),
        GRASS,
    )
    Wren(inner, middle - inner.width * 0.02, inner.height * 0.54, inner.width * 0.29).draw(beak="smile")
    if rough:
        small = inner.image.resize((rough, round(rough * inner.height / inner.width)), Image.Resampling.BOX)
        inner.image.paste(small.resize(inner.image.size, Image.Resampling.NEAREST))
    sheet.image.paste(inner.image, (round(edge * SCALE), round(edge * SCALE)))
    sheet.stroke([(0, 0), (0, height)], max(1.2, width * 0.012), closed=True)
    sheet.pen.rectangle(
        [0, 0, sheet.image.width - 1, sheet.image.height - 1],
        outline=INK,
        width=round(max(1.1, width * 0.011) * SCALE),
    )
    return sheet
