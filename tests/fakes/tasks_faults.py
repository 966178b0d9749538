"""What may go wrong between Cloud Tasks and a worker, though nobody did anything wrong."""

import random
from collections import deque
from typing import Literal, get_args

DeliveryFault = Literal["duplicate", "forgotten", "late", "lost"]
"""duplicate: delivered twice at once; forgotten: the worker answered 2xx, and the service died before it had
deleted the task; late: delivered only after a while; lost: deleted without having been delivered."""

DELIVERY_FAULTS: tuple[DeliveryFault, ...] = get_args(DeliveryFault)


class DeliveryFaults:
    """Faults to strike deliveries with: the next ones of a list, or a share of all, drawn by lot.

    late_seconds  how late a late one is
    is_shuffled   deliveries that are due go in any order, as the service may send them
    """

    def __init__(self, *, seed: int = 0, late_seconds: float = 60.0, is_shuffled: bool = False) -> None:
        self.late_seconds = late_seconds
        self.is_shuffled = is_shuffled
        self.struck: dict[DeliveryFault, int] = dict.fromkeys(DELIVERY_FAULTS, 0)
        self._draw = random.Random(seed)
        self._next: deque[DeliveryFault | None] = deque()
        self._shares: dict[DeliveryFault, float] = {}

    def strike_next(self, *faults: DeliveryFault | None) -> None:
        """Strike the next deliveries, one fault each; None lets one pass."""
        self._next.extend(faults)

    def strike_share(self, fault: DeliveryFault, share: float) -> None:
        """Strike this share of all deliveries to come, 0 to 1."""
        self._shares[fault] = share

    def pick(self) -> DeliveryFault | None:
        """Return what strikes the delivery that begins now."""
        fault = self._next.popleft() if self._next else self._drawn()
        if fault is not None:
            self.struck[fault] += 1
        return fault

    def place(self, order: int) -> float:
        """Return where a task stands among those due at the same instant."""
        return self._draw.random() if self.is_shuffled else float(order)

    def _drawn(self) -> DeliveryFault | None:
        number = self._draw.random()
        for fault, share in self._shares.items():
            if number < share:
                return fault
            number -= share
        return None
