from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from audobon.errors import InvalidInput
from audobon.pages.boxes import Box
from audobon.pages.panels import Panel, draw_panels, find_panels

WHITE, GREY, BLACK, CREAM = (255, 255, 255), (128, 128, 128), (0, 0, 0), (242, 232, 205)
GRID = [Box(40, 40, 340, 440), Box(400, 40, 360, 440), Box(40, 500, 720, 300), Box(40, 820, 720, 340)]


def paper(colour=WHITE, width=800, height=1200):
    return np.full((height, width, 3), colour, np.uint8)


def drawing(width: int, height: int, seed: int = 1):
    """A busy picture: a sky that fades, hills and things on them."""
    random = np.random.default_rng(seed)
    fade = np.linspace(0, 1, height)[:, None, None]
    picture = (np.array([90, 140, 200]) * (1 - fade) + np.array([200, 170, 90]) * fade).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(picture, (height, width, 3)))
    for _ in range(30):
        centre = int(random.integers(width)), int(random.integers(height))
        colour = [int(value) for value in random.integers(0, 256, 3)]
        cv2.circle(picture, centre, int(random.integers(3, max(4, height // 6))), colour, -1)
    return picture


def put(page, box: Box, *, seed: int = 1, frame: Sequence[int] | None = BLACK):
    page[box.y : box.bottom, box.x : box.right] = drawing(box.width, box.height, seed)
    if frame is not None:
        cv2.rectangle(page, (box.x, box.y), (box.right - 1, box.bottom - 1), frame, 3)


def page_of(boxes, colour=WHITE, frame=BLACK):
    page = paper(colour)
    for seed, box in enumerate(boxes):
        put(page, box, seed=seed, frame=frame)
    return page


def balloon(page, x: int, y: int, width: int = 90, height: int = 50):
    cv2.ellipse(page, (x, y), (width, height), 0, 0, 360, WHITE, -1, cv2.LINE_AA)
    cv2.ellipse(page, (x, y), (width, height), 0, 0, 360, BLACK, 3, cv2.LINE_AA)


def noisy(page, strength: float):
    noise = np.random.default_rng(7).normal(0, strength, page.shape)
    return np.clip(page + noise, 0, 255).astype(np.uint8)


def jpeg(page, quality: int):
    return cv2.imdecode(cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def assert_boxes(found: list[Panel], expected: list[Box], within: int = 3):
    assert len(found) == len(expected)
    for panel, box in zip(found, expected, strict=True):
        near = [panel.box.x - box.x, panel.box.y - box.y, panel.box.right - box.right]
        assert max(map(abs, [*near, panel.box.bottom - box.bottom])) <= within, (panel.box, box)


@pytest.mark.parametrize("colour", [WHITE, GREY, CREAM, (30, 60, 120)])
def test_framed_panels_are_found_between_gutters_of_any_colour(colour):
    assert_boxes(find_panels(page_of(GRID, colour)), GRID)


def test_panels_without_frames_are_found_between_black_gutters():
    assert_boxes(find_panels(page_of(GRID, BLACK, frame=None)), GRID)


def test_a_row_of_a_manga_page_begins_at_the_right():
    assert_boxes(find_panels(page_of(GRID), order="rtl"), [GRID[1], GRID[0], GRID[2], GRID[3]])


def test_noise_like_a_scan_does_not_hide_the_gutters():
    assert_boxes(find_panels(noisy(page_of(GRID, CREAM), 8)), GRID)


def test_strong_jpeg_compression_does_not_hide_the_gutters():
    assert_boxes(find_panels(jpeg(page_of(GRID), 30)), GRID)


def test_paper_that_darkens_towards_one_end_does_not_hide_the_gutters():
    page = page_of(GRID) * np.linspace(1, 0.86, 1200)[:, None, None]
    assert_boxes(find_panels(page.astype(np.uint8)), GRID)


def test_gutters_of_six_pixels_are_wide_enough():
    boxes = [Box(40, 40, 357, 500), Box(403, 40, 357, 500), Box(40, 546, 720, 600)]
    assert_boxes(find_panels(page_of(boxes, frame=None)), boxes)


def test_panels_of_line_art_are_found_though_they_are_as_white_as_the_gutters():
    page = paper()
    for box in GRID:
        cv2.rectangle(page, (box.x, box.y), (box.right - 1, box.bottom - 1), BLACK, 3)
        cv2.circle(page, (box.x + 120, box.y + 120), 60, BLACK, 2)
    assert_boxes(find_panels(page), GRID)


def test_a_small_gap_in_a_frame_does_not_let_the_gutter_in():
    page = paper()
    for box in GRID:
        cv2.rectangle(page, (box.x, box.y), (box.right - 1, box.bottom - 1), BLACK, 3)
        page[box.y : box.y + 3, box.x + 100 : box.x + 102] = WHITE
    assert_boxes(find_panels(page), GRID)


def test_slanted_gutters_part_panels():
    page = drawing(800, 1200)
    for corners in [
        [(0, 0), (800, 0), (800, 30), (0, 30)],
        [(0, 0), (30, 0), (30, 1200), (0, 1200)],
        [(770, 0), (800, 0), (800, 1200), (770, 1200)],
        [(0, 1170), (800, 1170), (800, 1200), (0, 1200)],
        [(0, 500), (800, 620), (800, 640), (0, 520)],
        [(300, 0), (320, 0), (440, 580), (420, 580)],
    ]:
        cv2.fillPoly(page, [np.array(corners, np.int32)], WHITE)
    assert_boxes(
        find_panels(page),
        [Box.spanning(30, 30, 418, 560), Box.spanning(327, 30, 770, 616), Box.spanning(30, 525, 770, 1170)],
        within=5,
    )


def test_a_balloon_across_a_gutter_joins_no_panels():
    page = page_of(GRID)
    balloon(page, 390, 200)
    balloon(page, 200, 490)
    assert_boxes(find_panels(page), GRID)


def test_a_balloon_between_a_wide_panel_and_half_a_row_joins_neither():
    boxes = [Box(40, 40, 720, 500), Box(40, 560, 350, 500), Box(410, 560, 350, 500)]
    page = page_of(boxes)
    balloon(page, 590, 560)
    assert_boxes(find_panels(page), boxes)


def test_a_balloon_over_the_edge_of_a_panel_does_not_widen_its_box():
    page = page_of([Box(100, 100, 600, 450), Box(100, 620, 600, 450)])
    balloon(page, 130, 200)
    balloon(page, 300, 110)
    assert_boxes(find_panels(page), [Box(100, 100, 600, 450), Box(100, 620, 600, 450)])


def test_a_balloon_between_panels_is_no_panel():
    boxes = [Box(40, 40, 720, 440), Box(40, 660, 720, 440)]
    page = page_of(boxes)
    balloon(page, 400, 570, 120, 60)
    assert_boxes(find_panels(page), boxes)


def test_an_inset_over_the_corner_of_a_panel_is_a_panel():
    page = page_of([Box(40, 40, 720, 700), Box(40, 780, 720, 380)])
    inset = Box(500, 500, 260, 240)
    outer = inset.grown(14)
    page[outer.y : outer.bottom, outer.x : outer.right] = WHITE
    put(page, inset, seed=9)
    assert_boxes(find_panels(page), [Box(40, 40, 720, 700), inset, Box(40, 780, 720, 380)])


def test_a_page_that_bleeds_off_the_paper_is_one_panel():
    assert find_panels(drawing(800, 1200)) == [Panel(Box(0, 0, 800, 1200))]


def test_panels_that_bleed_off_the_paper_are_parted_by_their_gutters():
    page = drawing(800, 1200)
    page[500:520] = WHITE
    page[:510, 400:416] = WHITE
    expected = [Box(0, 0, 400, 500), Box(416, 0, 384, 500), Box(0, 520, 800, 680)]
    assert_boxes(find_panels(page), expected)


def test_a_page_on_a_dark_scanner_lid_is_found_with_its_panels():
    sheet = page_of(GRID)
    scan = paper((20, 20, 24), 1000, 1400)
    scan[100:1300, 100:900] = sheet
    assert_boxes(find_panels(scan), [Box(b.x + 100, b.y + 100, b.width, b.height) for b in GRID])


def test_a_plain_night_sky_with_things_in_it_is_one_panel():
    page = paper((20, 30, 70))
    cv2.circle(page, (600, 250), 130, (240, 240, 210), -1)
    cv2.ellipse(page, (250, 700), (200, 90), 30, 0, 360, (140, 90, 60), -1)
    assert len(find_panels(page)) == 1


def test_specks_and_page_numbers_are_no_panels():
    page = page_of(GRID)
    cv2.putText(page, "12", (380, 1190), cv2.FONT_HERSHEY_SIMPLEX, 0.7, BLACK, 2)
    page[::97, ::89] = BLACK
    assert_boxes(find_panels(page), GRID)


@pytest.mark.parametrize("colour", [WHITE, BLACK, (200, 30, 30)])
def test_an_empty_page_is_one_panel(colour):
    assert find_panels(paper(colour)) == [Panel(Box(0, 0, 800, 1200))]


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 1), (3, 3), (5, 40), (20000, 10), (10, 20000), (1, 300_000)]
)
def test_pages_of_extreme_shape_do_no_harm(size):
    width, height = size
    page = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    for panel in find_panels(page):
        assert panel.box.area > 0
        assert Box(0, 0, width, height).contains(panel.box)


def test_a_large_page_is_measured_in_its_own_pixels():
    page = cv2.resize(page_of(GRID), (3200, 4800), interpolation=cv2.INTER_NEAREST)
    assert_boxes(find_panels(page), [box.scaled(4, 4) for box in GRID], within=12)


def test_the_same_page_gives_the_same_panels_and_stays_as_it_was():
    page = noisy(page_of(GRID), 5)
    before = page.copy()
    assert find_panels(page) == find_panels(page)
    assert np.array_equal(page, before)


def test_a_page_may_be_read_only_and_a_view_of_another():
    page = page_of(GRID)[:, ::-1]
    page.flags.writeable = False
    mirrored = [Box(800 - box.right, box.y, box.width, box.height) for box in GRID]
    assert_boxes(find_panels(page, order="rtl"), mirrored)


@pytest.mark.parametrize(
    "page",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ],
)
def test_what_is_no_rgb_page_is_refused(page):
    with pytest.raises(InvalidInput, match="page"):
        find_panels(page)


def test_the_overlay_marks_a_copy_of_the_page():
    page = page_of(GRID)
    before = page.copy()
    drawn = draw_panels(page, find_panels(page))
    assert drawn.shape == page.shape
    assert np.array_equal(page, before)
    assert tuple(drawn[260, 40]) == (230, 0, 126)
