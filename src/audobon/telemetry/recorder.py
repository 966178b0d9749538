"""Samples the machine every few seconds beside the work of a process, and keeps the history."""

import threading
from typing import Self

from audobon.errors import AudobonError
from audobon.telemetry.figures import figures_of
from audobon.telemetry.history import ResourceHistory
from audobon.telemetry.resources import ResourceMonitor, Sample


class ResourceRecorder:
    """Samples from entering to leaving; a full disk ends the history, and not the samples."""

    def __init__(
        self, monitor: ResourceMonitor, history: ResourceHistory, *, every_seconds: float = 2.0
    ) -> None:
        self._monitor = monitor
        self._history = history
        self._every_seconds = every_seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)
        self.latest: Sample | None = None
        self.problem: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._history.close()
        self._monitor.close()

    def step(self) -> None:
        """Take one sample and keep it; `problem` tells why it is not kept."""
        self.latest = sample = self._monitor.sample()
        if self.problem is None:
            try:
                self._history.record(sample.at, figures_of(sample))
            except AudobonError as error:
                self.problem = error.message

    def _run(self) -> None:
        while True:
            self.step()
            if self._end.wait(self._every_seconds):
                return
