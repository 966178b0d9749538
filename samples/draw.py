"""Draws the sample comic "The Wren Prints a Page" into samples/the-wren.

Run it with `python samples/draw.py`; the same Pillow draws the same pages every time.
"""

from pathlib import Path

from PIL import Image, ImageDraw

from ink import Sheet
from scenery import branch, cloud, foliage, hills, leaf, press, shelf, workshop
from wren import Wren, portrait

FOLDER = Path(__file__).parent / "the-wren"
WIDTH, HEIGHT, DPI = 700, 1000, 150


def main() -> None:
    """Draw all pages."""
    FOLDER.mkdir(exist_ok=True)
    for number, page in enumerate((first_page(), second_page(), third_page()), start=1):
        page.save(FOLDER / f"page-{number}.png", dpi=(DPI, DPI), optimize=True)


def first_page() -> Image.Image:
    """Return page 1: the wren, her tiny portrait, her wish."""
    page = Sheet(WIDTH, HEIGHT)

    morning = Sheet(644, 430)
    morning.sky((112, 188, 226), (252, 236, 196))
    morning.glow(250, 110, 150, (255, 250, 214), 0.4)
    morning.dot(250, 110, 46, 46, (255, 244, 190))
    cloud(morning, 400, 62, 34)
    cloud(morning, 596, 110, 28)
    hills(morning, 360, 3, (150, 196, 168), 70)
    hills(morning, 400, 8, (118, 176, 120), 60)
    hills(morning, 440, 12, (92, 152, 92), 60)
    bough = [(-30, 330), (120, 322), (300, 338), (470, 312), (600, 330)]
    branch(morning, [(66, 322), (96, 262), (88, 180), (120, 100)], 28)
    branch(morning, bough, 46)
    foliage(morning, [(-10, 30), (60, 60), (110, 120), (60, 190), (20, 240)], 52, 46, 4)
    foliage(morning, [(480, 318), (560, 322), (620, 330)], 40, 14, 6)
    Wren(morning, 320, 236, 62).draw(beak="smile", look=(0.06, -0.03))
    page.panel(morning, 28, 28)
    page.balloon(552, 196, ["I am a very", "small bird."], (450, 236), size=22)

    drawing = Sheet(314, 498)
    drawing.sky((150, 206, 226), (248, 240, 210))
    cloud(drawing, 80, 150, 26)
    hills(drawing, 430, 21, (140, 190, 150), 50)
    foliage(drawing, [(-10, 470), (150, 490), (330, 470)], 44, 22, 9)
    branch(drawing, [(340, 420), (200, 410), (80, 422), (-20, 404)], 40)
    for x, turn in ((40, 250), (70, 290), (290, 240)):
        leaf(drawing, x, 408, 40, turn, (140, 188, 88))
    Wren(drawing, 120, 318, 66).draw(wing="out", look=(0.1, 0.06))
    drawing.paste(portrait(56, 72), 232, 292, turn=-8)
    page.panel(drawing, 28, 474)
    page.balloon(176, 580, ["I drew my portrait.", "It came out tiny."], (214, 716), size=19)

    wish = Sheet(314, 498)
    wish.sky((255, 206, 110), (246, 138, 96))
    rays = Image.new("L", wish.image.size)
    for turn in range(0, 360, 24):
        ImageDraw.Draw(rays).pieslice([-1800, -1000, 3000, 3800], turn, turn + 12, fill=60)
    wish.image.paste((255, 240, 190), (0, 0), rays)
    Wren(wish, 132, 356, 122).draw(wing="up", beak="open", look=(0.03, -0.06), legs=False)
    page.panel(wish, 358, 474)
    page.balloon(562, 516, ["I want to be", "BIG!"], (640, 724), size=26)
    return page.finished()


def second_page() -> Image.Image:
    """Return page 2: the press, the pull, the print."""
    page = Sheet(WIDTH, HEIGHT)

    room = Sheet(644, 300)
    workshop(room, 240, window=(92, 96))
    shelf(room, 190, 92, 130)
    press(room, 450, 276, 84)
    Wren(room, 240, 226, 36).draw(beak="smile", look=(0.08, -0.06))
    page.panel(room, 28, 28)
    page.balloon(262, 166, ["Hello, press!"], (318, 226), size=21)

    pull = Sheet(380, 330)
    workshop(pull, 280)
    knob = press(pull, 120, 320, 100, lever=8)
    Wren(pull, knob[0] + 14, knob[1] - 66, 46, left=True, lean=-14).draw(
        wing="out", eye="worried", beak="open"
    )
    page.panel(pull, 28, 344)
    page.balloon(226, 384, ["Heave!"], (278, 438), size=21)
    page.sound(196, 624, "CLACK!", size=60, turn=12)

    peek = Sheet(248, 330)
    workshop(peek, 262)
    press(peek, 10, 318, 100)
    Wren(peek, 158, 236, 56, left=True).draw(look=(0.1, 0.05))
    page.panel(peek, 424, 344)
    page.balloon(594, 410, ["Is it", "done?"], (540, 520), size=21)

    rough = Sheet(644, 282)
    workshop(rough, 226, window=(560, 84))
    shelf(rough, 446, 196, 190)
    rough.paste(portrait(184, 240, rough=13), 346, 140, turn=5)
    Wren(rough, 150, 202, 48).draw(eye="worried", look=(0.1, -0.07), wing="up")
    page.panel(rough, 28, 690)
    page.balloon(136, 750, ["It is big. But", "where did I go?"], (256, 844), size=19)
    return page.finished()


def third_page() -> Image.Image:
    """Return page 3, on black: one more pull, and the picture."""
    page = Sheet(WIDTH, HEIGHT, (16, 14, 20))

    again = Sheet(644, 240)
    workshop(again, 190, window=(64, 84))
    knob = press(again, 236, 232, 76, lever=6)
    Wren(again, knob[0] + 10, knob[1] - 52, 38, lean=-6).draw(beak="smile", wing="up")
    page.panel(again, 28, 28, frame=(16, 14, 20))
    page.balloon(578, 80, ["Once more,", "with care."], (486, 96), size=22)

    proud = Sheet(644, 688)
    proud.sky((86, 160, 214), (255, 226, 170))
    proud.glow(322, 330, 340, (255, 250, 214), 0.2)
    hills(proud, 560, 3, (150, 196, 168), 70)
    hills(proud, 620, 8, (108, 168, 112), 60)
    branch(proud, [(-30, 70), (150, 50), (330, 62), (500, 44), (680, 66)], 40)
    foliage(proud, [(0, 40), (120, 30), (330, 40), (520, 24), (660, 40)], 50, 60, 14)
    for x in (200, 444):
        proud.stroke([(x, 60), (x, 110)], 4, (150, 110, 80))
    proud.paste(portrait(330, 430), 322, 322)
    foliage(proud, [(-10, 690), (200, 700), (450, 700), (660, 690)], 60, 60, 15)
    Wren(proud, 116, 576, 70).draw(eye="happy", beak="smile", wing="up")
    page.panel(proud, 28, 284, frame=(16, 14, 20))
    page.balloon(440, 892, ["There I am,", "every feather!"], (262, 828), size=23)
    return page.finished()


if __name__ == "__main__":
    main()
