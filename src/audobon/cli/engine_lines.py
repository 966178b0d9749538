"""What `audobon up` says: a line for each thing that happens, for people or as JSON."""

from pathlib import Path
from typing import Any

from audobon.cli.last_event import last_event_id
from audobon.cli.terminal import one_line, print_json_line, say
from audobon.clock import utc_now
from audobon.compute.engine_news import News
from audobon.queue.port import Queue

_MOST_EVENTS = 1000


class EngineLines:
    """Says what happens to the engine's workers, and which tasks fail.

    as_json  on standard output as JSON, instead of on standard error in words
    """

    def __init__(self, queue: Queue, *, as_json: bool) -> None:
        self._queue = queue
        self._as_json = as_json
        self._seen_event = last_event_id(queue)

    def began(self, folder: Path, budget_bytes: int) -> None:
        """Say that the engine is there."""
        words = f"the engine for {folder} is running, with {budget_bytes >> 20} MB for its work"
        facts = {"folder": str(folder), "budget_bytes": budget_bytes}
        self._say("engine started", words if self._as_json else f"{words}; Ctrl-C ends it", **facts)

    def ended(self) -> None:
        """Say that the engine is ending."""
        self._say("engine stopped", "the engine was stopped")

    def tell(self, news: News) -> None:
        """Say what happened to a worker."""
        self._say(news.what, news.words, pid=news.pid, status=news.status, tasks=news.tasks)

    def tell_failures(self) -> None:
        """Say which tasks failed since the last call, and which are tried again."""
        while events := self._queue.events(after_id=self._seen_event, limit=_MOST_EVENTS):
            self._seen_event = events[-1].id
            for event in events:
                if event.kind == "failed":
                    self._say(
                        "task failed", f"task {event.task_id} failed: {event.detail}", task=event.task_id
                    )
                elif event.kind == "retried":
                    words = f"task {event.task_id} is tried again: {event.detail}"
                    self._say("task retried", words, task=event.task_id)

    def _say(self, event: str, words: str, **facts: Any) -> None:
        if self._as_json:
            line = {"at": utc_now(), "event": event, "words": words, **facts}
            print_json_line(line)
        else:
            say(one_line(words))
