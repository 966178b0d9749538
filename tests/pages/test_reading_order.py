import hypothesis.strategies as st
from hypothesis import given

from audobon.pages.boxes import Box
from audobon.pages.reading_order import in_reading_order

boxes = st.builds(
    Box, x=st.integers(0, 500), y=st.integers(0, 500), width=st.integers(0, 300), height=st.integers(0, 300)
)
PAGE_WIDTH = 800


def grid(rows: int, columns: int, side: int = 100, gap: int = 10) -> list[Box]:
    return [
        Box(column * (side + gap), row * (side + gap), side, side)
        for row in range(rows)
        for column in range(columns)
    ]


def mirrored(box: Box) -> Box:
    return Box(PAGE_WIDTH - box.right, box.y, box.width, box.height)


def test_no_boxes_have_no_order():
    assert in_reading_order([]) == []


def test_a_grid_is_read_row_by_row():
    assert in_reading_order(grid(3, 3)) == list(range(9))


def test_a_manga_grid_is_read_from_the_right():
    assert in_reading_order(grid(2, 3), "rtl") == [2, 1, 0, 5, 4, 3]


def test_the_order_of_the_list_does_not_matter():
    boxes = grid(3, 2)
    assert [boxes[::-1][index] for index in in_reading_order(boxes[::-1])] == boxes


def test_a_tall_panel_on_the_left_comes_before_the_two_beside_it():
    boxes = [Box(110, 110, 100, 100), Box(0, 0, 100, 210), Box(110, 0, 100, 100)]
    assert in_reading_order(boxes) == [1, 2, 0]


def test_a_tall_panel_on_the_right_comes_after_the_two_beside_it():
    boxes = [Box(110, 0, 100, 210), Box(0, 110, 100, 100), Box(0, 0, 100, 100)]
    assert in_reading_order(boxes) == [2, 1, 0]


def test_a_tall_panel_on_the_right_opens_a_manga_page():
    boxes = [Box(110, 0, 100, 210), Box(0, 110, 100, 100), Box(0, 0, 100, 100)]
    assert in_reading_order(boxes, "rtl") == [0, 2, 1]


def test_a_small_panel_beside_the_top_of_a_tall_one_is_not_above_it():
    boxes = [Box(110, 0, 100, 50), Box(110, 60, 100, 940), Box(0, 0, 100, 1000)]
    assert in_reading_order(boxes) == [2, 0, 1]


def test_a_wide_panel_above_a_row_comes_first():
    boxes = [Box(0, 110, 100, 100), Box(110, 110, 100, 100), Box(0, 0, 210, 100)]
    assert in_reading_order(boxes) == [2, 0, 1]


def test_rows_that_overlap_a_little_stay_rows():
    boxes = [Box(0, 0, 100, 106), Box(110, 0, 100, 100), Box(0, 100, 100, 100), Box(110, 98, 100, 100)]
    assert in_reading_order(boxes) == [0, 1, 2, 3]


def test_a_slightly_uneven_row_is_still_one_row():
    boxes = [Box(0, 12, 100, 100), Box(110, 0, 100, 100), Box(220, 6, 100, 100)]
    assert in_reading_order(boxes) == [0, 1, 2]


def test_boxes_around_a_middle_are_all_found_in_a_sensible_turn():
    pinwheel = [Box(0, 0, 200, 100), Box(210, 0, 100, 200), Box(110, 210, 200, 100), Box(0, 110, 100, 200)]
    assert in_reading_order(pinwheel)[0] == 0


def test_of_boxes_with_one_middle_the_largest_comes_first():
    assert in_reading_order([Box(40, 40, 20, 20), Box(0, 0, 100, 100)]) == [1, 0]


def test_a_spiral_of_twelve_hundred_boxes_does_not_nest_too_deep():
    # Each box is cut off from the rest alone, by turns along rows and columns.
    boxes, left, top, size = [], 0, 0, 100_000
    for turn in range(1200):
        if turn % 2:
            boxes.append(Box(left, top, 10, size))
            left += 20
        else:
            boxes.append(Box(left, top, size, 10))
            top += 20
    assert in_reading_order(boxes) == list(range(1200))


@given(st.lists(boxes, max_size=40), st.sampled_from(["ltr", "rtl"]))
def test_every_box_comes_exactly_once(boxes, order):
    assert sorted(in_reading_order(boxes, order)) == list(range(len(boxes)))


@given(st.lists(boxes, max_size=40))
def test_a_mirrored_page_is_read_the_other_way_round(boxes):
    assert in_reading_order([mirrored(box) for box in boxes], "rtl") == in_reading_order(boxes)


@given(st.lists(boxes, max_size=40), st.integers(0, 1000), st.integers(0, 1000))
def test_moving_the_page_does_not_change_the_order(boxes, right, down):
    moved = [Box(box.x + right, box.y + down, box.width, box.height) for box in boxes]
    assert in_reading_order(moved) == in_reading_order(boxes)


@given(boxes, boxes)
def test_two_boxes_share_at_most_the_smaller(one, other):
    assert one.overlap(other) == other.overlap(one) <= min(one.area, other.area)
    assert one.union(other).contains(one)
    assert one.union(other).contains(other)
