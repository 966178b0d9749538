"""The queue, used by several threads of a worker in turns."""

import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from audobon.errors import AudobonError, LeaseLost


class QueueFailed(Exception):
    """The queue itself failed, which is nothing against the task in hand; `__cause__` says how."""

    @property
    def reason(self) -> AudobonError:
        """What the queue said."""
        assert isinstance(self.__cause__, AudobonError)
        return self.__cause__


class QueueTurns:
    """One thread uses the queue at a time, within a `with` block.

    What the queue complains of there is raised as `QueueFailed`, so that no task is blamed for it; but for
    LeaseLost, which is about the task.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def alone(self) -> AbstractContextManager[object]:
        """Keep the others from the queue during a block whose errors are those of a task."""
        return self._lock

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        if isinstance(error, AudobonError) and not isinstance(error, LeaseLost):
            raise QueueFailed(error.message) from error
