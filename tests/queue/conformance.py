"""The promise of the queue's port, one test to a sentence; every driver passes all of it.

A driver joins with a test class that brings two fixtures:

    class TestMyQueue(QueueConformance):
        @pytest.fixture
        def open_queue(self, clock, draw): ...
            Returns a function that opens a handle on the one database of this test, which is empty but for
            the jobs "job" and "other"; each call is a connection of its own, and every handle is over
            `clock` and `draw`. Queues are closed by the suite, connections by the driver.

        @pytest.fixture
        def opening(self): ...
            Returns Python source that defines `open_queue()` for another process, over the real clock.
"""

from collections.abc import Callable, Iterator

import pytest
from conformance_adding import Adding
from conformance_handout import HandingOut, PreferringWarm
from conformance_limits import Limiting
from conformance_looking import Looking
from conformance_memory import CountingMemory
from conformance_processes import WithProcesses
from conformance_schedules import Scheduling
from conformance_stopping import Stopping
from conformance_upcoming import Foretelling
from conformance_working import Working
from queue_tasks import FixedDraw, TurnedClock

from audobon.queue.port import Queue

OpenQueue = Callable[[], Queue]


class QueueConformance(
    Adding,
    HandingOut,
    PreferringWarm,
    Foretelling,
    CountingMemory,
    Limiting,
    Working,
    Stopping,
    Scheduling,
    Looking,
    WithProcesses,
):
    """All of the promise, with the fixtures that are the same for every driver."""

    @pytest.fixture
    def clock(self) -> TurnedClock:
        return TurnedClock()

    @pytest.fixture
    def draw(self) -> FixedDraw:
        return FixedDraw()

    @pytest.fixture
    def queue(self, open_queue: OpenQueue) -> Iterator[Queue]:
        with open_queue() as queue:
            yield queue

    @pytest.fixture
    def other_queue(self, open_queue: OpenQueue) -> Iterator[Queue]:
        """A second handle on the same database."""
        with open_queue() as queue:
            yield queue
