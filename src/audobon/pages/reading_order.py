"""The order in which a reader meets the boxes of a comic page.

Knows boxes only, not pictures: it serves panels on a page as well as balloons in a panel.
"""

from collections.abc import Sequence

from audobon.pages.boxes import Box, Order

GIVEN_UP = ((8, True), (20, True), (35, True), (8, False), (20, False), (35, False), (50, False))
"""What a box gives up at each end before a cut is sought, gentlest first: a percentage of the
shortest box there, then (where False) of its own length; at 50 it is a point."""

Span = tuple[int, int]


def in_reading_order(boxes: Sequence[Box], order: Order = "ltr") -> list[int]:
    """Return the indices of the boxes in reading order.

    Rows come first, then columns within a row, then rows within a column, and so on; so a
    panel as tall as two rows is read before or after both panels beside it. Boxes may
    overlap a little. Where no cut is free, boxes give up more and more of their ends until
    one is; boxes with one and the same middle come largest first.

    order    side on which a row begins: "ltr" left, "rtl" right
    returns  each index once; empty for no boxes
    source   recursive XY-cut (Nagy and Seth 1984); differs in: boxes shrink before the cut
    """
    found: list[int] = []
    pending = [list(range(len(boxes)))] if boxes else []
    # A stack of our own: a spiral of boxes would nest deeper than Python allows calls to.
    while pending:
        group = pending.pop()
        parts = _cut(boxes, group, order)
        if len(parts) == 1:
            found.extend(sorted(group, key=lambda index: (-boxes[index].area, index)))
        else:
            pending.extend(reversed(parts))
    return found


def _cut(boxes: Sequence[Box], group: list[int], order: Order) -> list[list[int]]:
    if len(group) == 1:
        return [group]
    across = [(boxes[index].x, boxes[index].width) for index in group]
    down = [(boxes[index].y, boxes[index].height) for index in group]
    for percent, by_shortest in GIVEN_UP:
        rows = _apart(group, _shrunk(down, percent, by_shortest=by_shortest))
        if len(rows) > 1:
            return rows
        columns = _apart(group, _shrunk(across, percent, by_shortest=by_shortest))
        if len(columns) > 1:
            return columns[::-1] if order == "rtl" else columns
    return [group]


def _shrunk(spans: list[Span], percent: int, *, by_shortest: bool) -> list[Span]:
    """Return (start, end) for each (start, length), less what is given up."""
    # A tall panel must not give up so much that a small one beside its top seems above it.
    shortest = min(length for _, length in spans)
    given_up = [percent * (shortest if by_shortest else length) for _, length in spans]
    # In hundredths of a pixel: whole numbers keep a mirrored page an exact mirror image.
    return [
        (100 * start + less, 100 * (start + length) - less)
        for (start, length), less in zip(spans, given_up, strict=True)
    ]


def _apart(group: list[int], spans: list[Span]) -> list[list[int]]:
    """Return the group in parts, each wholly beyond the one before."""
    parts: list[list[int]] = []
    reach = 0
    for (start, end), index in sorted(zip(spans, group, strict=True)):
        if not parts or start > reach:
            parts.append([index])
            reach = end
        else:
            parts[-1].append(index)
            reach = max(reach, end)
    return parts
