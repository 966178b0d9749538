"""Lettering: joining, decoding and geometry with made-up models, reading with the real ones."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from letter_models import letter_models
from PIL import Image, ImageDraw, ImageFont

from audobon.errors import InvalidInput
from audobon.pages.balloons import TextLine, join_lines, join_text
from audobon.pages.boxes import Box
from audobon.pages.letters import Lettering, LetterModels, dots_counted, read_letters
from audobon.pages.text_lines import PAGE_HEIGHT_PX, level, rectangles, windows
from audobon.pages.text_reading import BATCH_WIDTH_PX, decode, read_lines, straighten

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BALLOONS = (
    ("WHAT IS THAT?",),
    ("I TOLD YOU", "NOT TO TOUCH", "THE LEVER!"),
    ("EVERY-", "THING IS", "FINE, REALLY."),
    ("NO!",),
    ("B-BUT WHY", "WOULD ANYONE", "DO SUCH A", "THING ON A", "MONDAY?"),
    ("WAIT--", "DON'T GO", "IN THERE..."),
)
SAID = [
    "WHAT IS THAT?",
    "I TOLD YOU NOT TO TOUCH THE LEVER!",
    "EVERYTHING IS FINE, REALLY.",
    "NO!",
    "B-BUT WHY WOULD ANYONE DO SUCH A THING ON A MONDAY?",
    "WAIT-- DON'T GO IN THERE...",
]


def page_of(balloons: tuple[tuple[str, ...], ...], *, width: int, height: int, font_px: int = 24) -> Bytes:
    """Draw balloons in rows, six pixels apart, on a bluish ground."""
    picture = Image.new("RGB", (width, height), (120, 140, 170))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(font_px)
    left = top = tallest = 8.0
    margin, leading = font_px * 0.6, font_px * 1.15
    for lines in balloons:
        wide = max(draw.textlength(line, font=font) for line in lines) + 2 * margin
        high = leading * len(lines) + 2 * margin
        if left + wide > width:
            left, top, tallest = 8.0, top + tallest + 6, 0.0
        frame = (left, top, left + wide, top + high)
        draw.rounded_rectangle(frame, margin, fill="white", outline="black", width=2)
        for row, line in enumerate(lines):
            place = (left + wide / 2, top + margin + leading * (row + 0.5))
            draw.text(place, line, font=font, fill="black", anchor="mm")
        left, tallest = left + wide + 6, max(tallest, high)
    return np.array(picture)


def said(lettering: Lettering) -> list[str]:
    return [balloon.text for balloon in lettering.balloons]


def line_at(box: Box, text: str = "WORDS", angle_degrees: float = 0.0) -> TextLine:
    corners = ((box.x, box.y), (box.right, box.y), (box.right, box.bottom), (box.x, box.bottom))
    return TextLine(text, 1.0, box, tuple((float(x), float(y)) for x, y in corners), angle_degrees)


def answer(*steps: dict[int, float], outputs: int) -> Floats:
    probabilities = np.zeros((len(steps), outputs), np.float32)
    for step, chances in enumerate(steps):
        for index, chance in chances.items():
            probabilities[step, index] = chance
    return probabilities


def blind(batch: Floats) -> Floats:
    return np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)


def upright(batch: Floats) -> Floats:
    return np.tile(np.array([1, 0], np.float32), (len(batch), 1))


def says_a(batch: Floats) -> Floats:
    return np.tile(answer({1: 0.75}, outputs=3), (len(batch), 1, 1))


BLIND = LetterModels(blind, upright, says_a, ("A",))


class TestDecode:
    def test_a_repeated_letter_counts_once_unless_a_blank_lies_between(self) -> None:
        steps = answer({1: 0.9}, {1: 0.9}, {0: 0.9}, {1: 0.9}, {2: 0.9}, outputs=4)
        assert decode(steps, "AB")[0] == "AAB"

    def test_confidence_is_the_mean_over_the_letters(self) -> None:
        steps = answer({1: 0.5}, {0: 0.99}, {2: 1.0}, outputs=4)
        text, confidence = decode(steps, "AB")
        assert text == "AB"
        assert confidence == pytest.approx(0.75)

    def test_only_blanks_are_no_text(self) -> None:
        assert decode(answer({0: 1.0}, {0: 1.0}, outputs=4), "AB") == ("", 0.0)

    def test_spaces_at_the_ends_and_in_a_row_are_dropped(self) -> None:
        steps = answer({3: 1}, {1: 1}, {3: 1}, {0: 1}, {3: 1}, {2: 1}, {3: 1}, outputs=4)
        assert decode(steps, "AB")[0] == "A B"

    def test_a_pause_that_may_be_a_space_is_one(self) -> None:
        steps = answer({1: 1}, {0: 0.7, 3: 0.3}, {2: 1}, outputs=4)
        assert decode(steps, "AB") == ("A B", 1.0)


class TestJoinText:
    @pytest.mark.parametrize(
        ("lines", "text"),
        [
            (["NOT TO", "TOUCH"], "NOT TO TOUCH"),
            (["EVERY-", "THING"], "EVERYTHING"),
            (["B-", "BUT WHY"], "B-BUT WHY"),
            (["WAIT--", "WHAT"], "WAIT-- WHAT"),
            (["ROOM 4-", "B"], "ROOM 4- B"),
            (["今日は", "晴れ"], "今日は晴れ"),
            ([], ""),
        ],
    )
    def test_lines_become_running_text(self, lines: list[str], text: str) -> None:
        assert join_text(lines) == text

    @pytest.mark.parametrize(
        ("read", "meant"),
        [(".mmm", "...mmm"), ("..and", "...and"), ("oh…", "oh..."), ("A.M.", "A.M."), (".38", ".38")],
    )
    def test_ellipses_have_three_dots(self, read: str, meant: str) -> None:
        assert dots_counted(read) == meant


class TestJoinLines:
    def page(self) -> Bytes:
        return np.full((300, 400, 3), 255, np.uint8)

    def test_lines_under_each_other_are_one_balloon_from_top_to_bottom(self) -> None:
        lines = [line_at(Box(60, 72, 80, 20), "TWO"), line_at(Box(50, 50, 100, 20), "ONE")]
        (balloon,) = join_lines(self.page(), lines)
        assert (balloon.text, balloon.box) == ("ONE TWO", Box(50, 50, 100, 42))

    def test_lines_far_apart_are_two_balloons(self) -> None:
        lines = [line_at(Box(50, 50, 100, 20)), line_at(Box(50, 100, 100, 20))]
        assert len(join_lines(self.page(), lines)) == 2

    def test_an_outline_between_lines_parts_balloons(self) -> None:
        page = self.page()
        page[74:76] = 0
        lines = [line_at(Box(50, 50, 100, 20)), line_at(Box(50, 80, 100, 20))]
        assert len(join_lines(page, lines)) == 2

    def test_an_outline_between_words_of_a_row_parts_balloons(self) -> None:
        page = self.page()
        lines = [line_at(Box(50, 50, 60, 20), "ONE"), line_at(Box(125, 50, 60, 20), "TWO")]
        assert [balloon.text for balloon in join_lines(page, lines)] == ["ONE TWO"]
        page[:, 117:119] = 0
        assert len(join_lines(page, lines)) == 2

    def test_lettering_of_another_height_stays_apart(self) -> None:
        lines = [line_at(Box(50, 50, 100, 20)), line_at(Box(50, 72, 100, 60))]
        assert len(join_lines(self.page(), lines)) == 2

    def test_a_tilted_line_stays_alone_and_is_an_effect(self) -> None:
        lines = [line_at(Box(50, 50, 100, 20)), line_at(Box(50, 72, 100, 20), "BOOM", angle_degrees=20.0)]
        balloons = join_lines(self.page(), lines)
        assert {balloon.text: balloon.kind for balloon in balloons}["BOOM"] == "effect"
        assert len(balloons) == 2


class TestGeometry:
    def test_a_patch_of_text_grows_to_the_line_it_stands_for(self) -> None:
        text = np.zeros((100, 200), np.uint8)
        text[40:50, 50:150] = 255
        (corners,) = rectangles(text)
        growth = 100 * 10 * 1.6 / 110 / 2
        expected = [(50 - growth, 40 - growth), (150 + growth, 40 - growth)]
        np.testing.assert_allclose(corners[:2], expected, atol=0.01)

    def test_faint_and_thin_patches_are_no_lines(self) -> None:
        text = np.zeros((100, 200), np.uint8)
        text[10:20, 50:150] = 110
        text[40:42, 50:150] = 255
        assert rectangles(text) == []

    def test_corners_begin_with_the_most_level_side(self) -> None:
        corners = np.array([[0, 20], [0, 0], [60, 0], [60, 20]], np.float32)
        np.testing.assert_array_equal(level(corners)[0], (0, 0))

    def test_a_tilted_line_is_straightened(self) -> None:
        level_line = np.zeros((200, 200, 3), np.uint8)
        level_line[90:110, 40:160] = (255, 0, 0)
        turn = cv2.getRotationMatrix2D((100, 100), -30, 1)
        page = cv2.warpAffine(level_line, turn, (200, 200))
        square = np.array([[40, 90, 1], [160, 90, 1], [160, 110, 1], [40, 110, 1]], np.float32)
        crop = straighten(page, (square @ turn.T).astype(np.float32), 120, 20)
        assert crop[3:-3, 3:-3, 0].min() > 250

    @pytest.mark.parametrize("length_px", [1, PAGE_HEIGHT_PX, PAGE_HEIGHT_PX + 1, 5000, 14881])
    def test_windows_keep_every_pixel_once(self, length_px: int) -> None:
        cut = list(windows(length_px))
        assert [window.keep_start for window in cut] == [0, *(window.keep_stop for window in cut[:-1])]
        assert cut[-1].keep_stop == length_px
        assert all(window.stop - window.start <= PAGE_HEIGHT_PX for window in cut)


class TestReadLines:
    def test_calls_are_bounded_and_answers_come_in_the_order_given(self) -> None:
        page = np.zeros((400, 4000, 3), np.uint8)
        lengths = [3900, 100, 700, 90, 300, 3900, *[120] * 20]
        lines = [np.array([[0, 0], [w, 0], [w, 48], [0, 48]], np.float32) for w in lengths]
        shapes = []

        def tells_width(batch: Floats) -> Floats:
            shapes.append(batch.shape)
            return says_a(batch)

        readings = read_lines(page, lines, upright, tells_width, "A")
        assert all(count * width <= BATCH_WIDTH_PX for count, _, _, width in shapes)
        assert [reading.corners[1][0] for reading in readings] == lengths

    def test_a_line_upside_down_is_read_the_better_way_up(self) -> None:
        page = np.zeros((100, 300, 3), np.uint8)
        page[:, :150] = 255
        line = np.array([[50, 20], [250, 20], [250, 60], [50, 60]], np.float32)

        def upside_down(batch: Floats) -> Floats:
            return np.tile(np.array([0, 1], np.float32), (len(batch), 1))

        def likes_dark_left(batch: Floats) -> Floats:
            chances = [0.9 if picture[0, 24, 10] < 0 else 0.3 for picture in batch]
            return np.stack([answer({1: chance}, outputs=3) for chance in chances])

        (reading,) = read_lines(page, [line], upside_down, likes_dark_left, "A")
        np.testing.assert_array_equal(reading.corners[0], (250, 60))


class TestReadLetters:
    @pytest.mark.parametrize("shape", [(1, 1), (7, 3000), (20000, 10), (10, 20000)])
    def test_a_page_of_any_shape_without_text_is_empty(self, shape: tuple[int, int]) -> None:
        lettering = read_letters(np.zeros((*shape, 3), np.uint8), BLIND)
        assert lettering == Lettering(shape[1], shape[0], ())

    @pytest.mark.parametrize("page", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
    def test_what_is_no_page_is_refused(self, page: Bytes) -> None:
        with pytest.raises(InvalidInput):
            read_letters(page, BLIND)

    def test_the_detector_never_sees_more_than_one_page_at_a_time(self) -> None:
        seen: list[tuple[int, ...]] = []

        def watching(batch: Floats) -> Floats:
            seen.append(batch.shape)
            return blind(batch)

        for shape in ((12000, 800), (6000, 4000), (500, 3000)):
            read_letters(np.zeros((*shape, 3), np.uint8), LetterModels(watching, upright, says_a, ("A",)))
        assert all(max(height, width) <= PAGE_HEIGHT_PX for _, _, height, width in seen)
        assert all(height % 32 == width % 32 == 0 for _, _, height, width in seen)

    def test_progress_rises_to_its_total(self) -> None:
        told: list[tuple[int, int]] = []
        page = np.zeros((4000, 800, 3), np.uint8)
        read_letters(page, BLIND, report=lambda done, total: told.append((done, total)))
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]


class TestReadLettersWithTheRealModels:
    def test_balloons_close_together_are_read_whole_and_in_order(self) -> None:
        lettering = read_letters(page_of(BALLOONS, width=700, height=420), letter_models())
        assert said(lettering) == SAID
        assert {balloon.kind for balloon in lettering.balloons} == {"speech"}
        assert [len(balloon.lines) for balloon in lettering.balloons] == [1, 3, 3, 1, 5, 3]
        assert all(balloon.confidence > 0.9 for balloon in lettering.balloons)

    def test_white_letters_on_black_are_read(self) -> None:
        page = 255 - page_of(BALLOONS, width=700, height=420)
        assert said(read_letters(page, letter_models())) == SAID

    def test_boxes_hold_the_letters_on_a_large_page(self) -> None:
        page = page_of((("LARGE", "LETTERS"),), width=2400, height=3000, font_px=90)
        (balloon,) = read_letters(page, letter_models()).balloons
        dark = np.argwhere((page[40:290, 40:460] < 60).all(axis=2)) + 40
        top, left = dark.min(axis=0)
        bottom, right = dark.max(axis=0)
        assert balloon.text == "LARGE LETTERS"
        assert balloon.box.x <= left + 3
        assert balloon.box.y <= top + 3
        assert balloon.box.right >= right - 3
        assert balloon.box.bottom >= bottom - 3
        assert balloon.box.area < 2 * (right - left) * (bottom - top)

    def test_a_strip_is_read_over_its_whole_length(self) -> None:
        panel = page_of((("FIRST", "LINE"), ("AND MORE",)), width=400, height=900)
        lettering = read_letters(np.vstack([panel] * 3), letter_models())
        assert said(lettering) == ["FIRST LINE", "AND MORE"] * 3

    def test_tilted_lettering_is_an_effect(self) -> None:
        page = page_of((("SPLASH",),), width=500, height=500, font_px=48)
        turn = cv2.getRotationMatrix2D((130, 60), 20, 1)
        turn[:, 2] += (120, 190)
        page = cv2.warpAffine(page, turn, (500, 500), borderValue=(120, 140, 170))
        (balloon,) = read_letters(page, letter_models()).balloons
        assert (balloon.text, balloon.kind) == ("SPLASH", "effect")
        assert balloon.lines[0].angle_degrees == pytest.approx(-20, abs=3)

    def test_a_page_without_letters_is_empty(self) -> None:
        page = np.full((600, 400, 3), 200, np.uint8)
        cv2.circle(page, (200, 300), 120, (90, 60, 30), -1)
        assert read_letters(page, letter_models()).balloons == ()
