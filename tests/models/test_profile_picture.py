"""The picture of a profile: what is drawn, as PNG and as a page that needs nothing else."""

import io
import re
from xml.etree import ElementTree

from PIL import Image

from audobon.models.drawing import Sheet, fitted, width_of
from audobon.models.profile_picture import profile_page, profile_png
from audobon.models.profile_trace import Operator, Trace
from audobon.models.profiling import MemoryPoint, Profile

BLUE, ORANGE = (0, 114, 178), (230, 159, 0)


def profile(*operators: Operator) -> Profile:
    trace = Trace(3, 0.010, operators, 0.001)
    memory = tuple(
        MemoryPoint(f"{side} px", side * side, lean, side * side * (3000 - 1500 * lean), side * side * 2500)
        for side in (48, 96, 192)
        for lean in (False, True)
    )
    kinds = tuple(trace.kinds())
    return Profile("made-up", "Made <up> & small", 2, 0.005, 0.004, "192 px", kinds, trace, memory)


SMALL = profile(
    Operator("Conv", "first/<b>", (1, 8, 64, 64), 0.0, 0.006),
    Operator("Relu", "second", (1, 8, 64, 64), 0.006, 0.003),
)


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def test_the_run_is_drawn_as_long_as_its_operators_took() -> None:
    image = opened(profile_png(SMALL))
    assert image.size == (1440, 900)
    row = [image.getpixel((x, 245)) for x in range(image.width)]

    def near(colour: tuple[int, int, int]) -> int:
        return sum(max(abs(a - b) for a, b in zip(colour, pixel, strict=True)) < 12 for pixel in row)  # type: ignore[arg-type]

    # 1344 pixels stand for 10 ms: 6 of the first, 3 of the second.
    assert 780 < near(BLUE) <= 807
    assert 380 < near(ORANGE) <= 404


def test_the_page_needs_nothing_else_and_shows_names_as_text() -> None:
    page = profile_page(SMALL)
    assert re.findall(r"""(?:src|href)=|https?://(?!www\.w3\.org/2000/svg)|<script|url\(""", page) == []
    assert "<b>" not in page
    assert "Made &lt;up&gt; &amp; small" in page
    [picture] = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    shapes = [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture).iter()]
    assert {"rect", "text", "polyline", "circle", "title"} <= set(shapes)
    assert page.count("<tr><td>") == 2


def test_hundreds_of_kinds_and_endless_names_stay_within_the_picture() -> None:
    many = profile(
        *(Operator(f"Kind{number}" + "x" * 90, "n" * 120, (), number * 1e-5, 1e-5) for number in range(400))
    )
    image = opened(profile_png(many))
    for edge in ((0, 0, 20, 900), (1420, 0, 1440, 900)):
        assert image.crop(edge).getcolors() == [(20 * 900, (255, 255, 255))]


def test_words_are_cut_to_the_room_there_is() -> None:
    assert fitted("short", 14, 100) == "short"
    cut = fitted("a name that is far too long", 14, 80)
    assert cut.endswith("…")
    assert width_of(cut, 14) <= 80
    assert fitted("anything", 14, 3) == ""


def test_a_sheet_draws_what_it_was_told() -> None:
    sheet = Sheet(40, 20)
    sheet.rectangle(0, 0, 20, 20, "#0072b2")
    sheet.dot(30, 10, 6, "#e69f00", tip="a & b")
    image = opened(sheet.png())
    assert (image.getpixel((10, 10)), image.getpixel((30, 10))) == (BLUE, ORANGE)
    assert "<title>a &amp; b</title>" in sheet.svg()
