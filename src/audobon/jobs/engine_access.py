"""The engine of the data folder: one that runs already, or one of this process while needed."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from audobon.compute.engine import Engine, engine_lock
from audobon.errors import AlreadyRunning
from audobon.processes import family_resident_bytes

_TRY_SECONDS = 0.5


class EngineAccess:
    """Has tasks done: by the engine that has the folder, or by one of its own when none has it.

    When the engine that was joined goes away, this process takes its place.
    make     a new engine for this process
    on_own   called when this process becomes the engine, before its workers start
    on_turn  called besides when it takes the place of an engine that ended
    """

    def __init__(
        self,
        folder: Path,
        make: Callable[[], Engine],
        *,
        on_own: Callable[[], None],
        on_turn: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._make = make
        self._on_own = on_own
        self._on_turn = on_turn
        self.was_joined = False
        """Whether another engine had the folder at some time."""
        self._own: Engine | None = None
        self._tried_at = 0.0
        self._peak_bytes = 0

    def __enter__(self) -> Self:
        try:
            self._try()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def joined_pid(self) -> int | None:
        """The process whose engine does the work; None when it is this one."""
        return None if self._own is not None else engine_lock(self._folder).holder()

    @property
    def peak_bytes(self) -> int:
        """The most memory that was seen held by this process and the engine together."""
        return max(self._peak_bytes, 0 if self._own is None else self._own.peak_bytes)

    def start_worker(self) -> None:
        """Have a worker ready for the first task."""
        if self._own is not None:
            self._own.start_worker()

    def tick(self) -> None:
        """Look after the engine; raises as `Engine.tick` does."""
        if self._own is not None:
            self._own.tick()
        elif time.monotonic() - self._tried_at >= _TRY_SECONDS:
            self._try()
        self.sample()

    def wait(self, timeout_seconds: float) -> None:
        """Return when there may be news, or after the time-out."""
        if self._own is not None:
            self._own.wait(timeout_seconds)
        else:
            time.sleep(timeout_seconds)

    def sample(self) -> None:
        """Note the memory held now."""
        if self._own is not None:
            self._own.sample()
            return
        pids = [os.getpid()]
        if (engine_pid := self.joined_pid) is not None:
            pids.append(engine_pid)
        self._peak_bytes = max(self._peak_bytes, family_resident_bytes(pids))

    def stop(self) -> None:
        """End this process's own engine, if it has one; another one goes on."""
        own, self._own = self._own, None
        if own is not None:
            self._peak_bytes = max(self._peak_bytes, own.peak_bytes)
            own.stop()

    def _try(self) -> None:
        self._tried_at = time.monotonic()
        engine = self._make()
        try:
            engine.__enter__()
        except AlreadyRunning:
            self.was_joined = True
            return
        self._own = engine
        if self.was_joined:
            self._on_turn()
        self._on_own()
        engine.start_worker()
