"""What drives the fake Cloud Tasks: by itself in real time, or step by step by a test."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar

from fakes.api import FakeApi
from fakes.faults import Faults
from fakes.tasks_delivery import Courier
from fakes.tasks_faults import DeliveryFaults
from fakes.tasks_queue import Answer, Attempt, LiveQueue
from fakes.tasks_tokens import TokenSigner

_CARRIERS = 128


class DrivenTasks(FakeApi):
    """The queues, and the delivery of what is in them.

    Until `start`, nothing is delivered but by `deliver`, so a test that turns the clock sees each step.

    deliveries  what goes wrong between the service and a worker
    signer      signs the tokens that deliveries carry
    """

    api: ClassVar[str] = "tasks"

    def __init__(
        self, clock: Callable[[], float], faults: Faults, *, signer: TokenSigner | None = None
    ) -> None:
        super().__init__(clock, faults)
        self.signer = signer or TokenSigner(clock=clock)
        self.deliveries = DeliveryFaults()
        self._courier = Courier(self.signer)
        self._queues: dict[str, LiveQueue] = {}
        self._forced: list[Attempt] = []
        self._changed = threading.Condition(self.lock)
        self._is_running = False
        self._driver: threading.Thread | None = None
        self._carriers: ThreadPoolExecutor | None = None

    def begin(self) -> list[Attempt]:
        """Return the deliveries to make now, for whoever makes them and says by `settle` how they ended."""
        with self.lock:
            now = self.clock()
            begun, self._forced = self._forced, []
            for live in self._queues.values():
                begun += live.begin(now)
            return begun

    def settle(self, attempt: Attempt, answer: Answer) -> None:
        """Take in what came of a delivery."""
        with self._at_work() as now:
            attempt.queue.settle(attempt, answer, now)

    def deliver(self) -> int:
        """Make the deliveries that are due, one by one, and what follows at once; return how many."""
        count = 0
        while begun := self.begin():
            for attempt in begun:
                self.settle(attempt, self._courier.carry(attempt))
            count += len(begun)
        return count

    def start(self) -> None:
        """Deliver by itself from now on, many at once."""
        self._carriers = ThreadPoolExecutor(_CARRIERS, thread_name_prefix="carrier")
        self._is_running = True
        self._driver = threading.Thread(target=self._drive, name="cloud-tasks", daemon=True)
        self._driver.start()

    def stop(self) -> None:
        """Deliver nothing more, and hang up on who still works; returns when nothing is on its way."""
        with self._changed:
            self._is_running = False
            self._changed.notify_all()
        self._courier.hang_up()
        if self._driver is not None and self._carriers is not None:
            self._driver.join()
            self._carriers.shutdown(wait=True, cancel_futures=True)
        self._courier.close()

    def _drive(self) -> None:
        assert self._carriers is not None
        while True:
            with self._changed:
                if not self._is_running:
                    return
                begun = self.begin()
                if not begun:
                    self._changed.wait(self._rest_seconds())
                    continue
            for attempt in begun:
                self._carriers.submit(self._carry, attempt)

    def _carry(self, attempt: Attempt) -> None:
        self.settle(attempt, self._courier.carry(attempt))

    def _rest_seconds(self) -> float:
        now = self.clock()
        instants = [at for live in self._queues.values() if (at := live.next_at(now)) is not None]
        # The clock may run faster than this machine's, so a look now and then.
        return min(0.05, max(0.001, min(instants, default=now + 1.0) - now))

    @contextmanager
    def _at_work(self) -> Iterator[float]:
        """Keep others out, yield the present instant, and have the driver look at what changed."""
        with self._changed:
            yield self.clock()
            self._changed.notify_all()
