"""Where the queue's events end now."""

from audobon.queue.port import Queue


def last_event_id(queue: Queue) -> int:
    """Return an id that no event comes after, nearest to the last; found by halving, as ids only rise."""
    low, high = 0, 1
    while queue.events(after_id=high, limit=1):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if queue.events(after_id=middle, limit=1):
            low = middle + 1
        else:
            high = middle
    return high
