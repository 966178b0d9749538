"""Has the model of the next task ready while the present task runs."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from audobon.compute.work import models_with
from audobon.models.service import Models

# The first runs of a model are weighed; a load beside them would spoil the figures.
SETTLED_RUNS = 3


class Prefetch:
    """Reads the next task's models into the page cache, then loads them if there is memory to spare.

    All of it happens in a thread of its own: who does tasks never waits for it. What goes wrong there ends
    with its future; the task that needs the model meets it again and can tell of it. Not for two threads.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
        self._asked: Future[list[str]] | None = None
        # As it was seen to run here; before that, several models together run lean, and one alone fast.
        self._is_lean: dict[str, bool] = {}

    def look_ahead(self, ask: Callable[[], list[str]]) -> None:
        """Begin with a task: find out what comes after it, and have its files read.

        ask  returns the main models of the tasks to come, the next one first
        """
        self._asked = self._thread.submit(self._look, ask)

    def may_load(self) -> None:
        """Take note that the present task has its models and has run them: the rest of the budget is free.

        Only the first call for a task does something.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            return
        for model in self._models.resident():
            if model.in_use:
                self._is_lean[model.name] = model.lean
        self._thread.submit(self._load, asked)

    def close(self) -> None:
        """Return when what is being loaded is loaded; begin nothing more."""
        self._thread.shutdown(cancel_futures=True)

    def _look(self, ask: Callable[[], list[str]]) -> list[str]:
        names = [name for main in ask() for name in models_with(main)]
        for name in names:
            self._models.read_ahead(name)
        return names

    def _load(self, asked: Future[list[str]]) -> None:
        names = asked.result()
        for name in names:
            self._models.load_ahead(name, lean=self._is_lean.get(name, len(names) > 1))
