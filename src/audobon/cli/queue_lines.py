"""Tells the changes of the queue line by line: as words for a log, as JSON for programs."""

from typing import Any

import click
import msgspec

from audobon.cli.queue_looks import Look, happenings
from audobon.cli.queue_names import TaskNames
from audobon.cli.queue_words import STATE_WORDS, clock_time
from audobon.cli.terminal import one_line, print_json_line, say
from audobon.queue.figures import QueueFigures
from audobon.queue.tasks import TaskRecord


class PlainLines:
    """Writes one line for each happening, and one for each queue whose figures changed."""

    def __init__(self) -> None:
        self._queues: dict[str, str] = {}
        self._engine_pid: int | None = None
        self._waiting = ""

    def tell(self, look: Look | str, names: TaskNames) -> None:
        """Write what changed, or why there is nothing to look at."""
        if isinstance(look, str):
            if look != self._waiting:
                say(f"{look}; waiting")
            self._waiting = look
            return
        self._waiting = ""
        if look.engine_pid != self._engine_pid:
            ended, self._engine_pid = self._engine_pid, look.engine_pid
            words = f"process {ended} ended" if look.engine_pid is None else f"process {look.engine_pid}"
            click.echo(f"{clock_time(look.at)}  engine: {words}")
        for happening in happenings(look, names):
            words = f"task {happening.task_id}  {happening.name}  {happening.words}"
            click.echo(one_line(f"{clock_time(happening.at)}  {words}"))
        for figures in look.queues:
            words = (
                f"{figures.queue}  {STATE_WORDS[figures.state]}: {figures.ready} ready,"
                f" {figures.waiting} waiting, {figures.leased} at work, {figures.dead} dead"
            )
            if self._queues.get(figures.queue) != words:
                self._queues[figures.queue] = words
                click.echo(one_line(f"{clock_time(look.at)}  {words}"))


class JsonLines:
    """Writes one line of JSON for each change; whoever reads them all knows all."""

    def __init__(self) -> None:
        self._engine: dict[str, Any] = {}
        self._queues: dict[str, Any] = {}
        self._pools: dict[str, Any] = {}
        self._workers: dict[str, Any] = {}
        self._tasks: dict[int, TaskRecord] = {}

    def tell(self, look: Look | str, names: TaskNames) -> None:
        """Write what changed; nothing when there is nothing to look at."""
        if isinstance(look, str):
            return
        if _is_news(self._engine, "pid", (look.engine_pid,)):
            _write(look, "engine", {"pid": look.engine_pid})
        for figures in look.queues:
            if _is_news(self._queues, figures.queue, _ageless(figures)):
                _write(look, "queue", figures)
        for pool in look.pools:
            if _is_news(self._pools, pool.pool, pool):
                _write(look, "pool", pool)
        owners = {worker.owner.name: worker.owner for worker in look.workers}
        for name, owner in owners.items():
            if _is_news(self._workers, name, owner.pid):
                _write(look, "worker", owner)
        for name in [name for name in self._workers if name not in owners]:
            del self._workers[name]
            _write(look, "worker gone", name)
        for event in look.events:
            _write(look, "event", event)
        for task in look.left:
            self._tasks.pop(task.id, None)
            _write(look, "task", names.facts(task))
        for task in look.at_work:
            if _is_news(self._tasks, task.id, task):
                _write(look, "task", names.facts(task))


def _is_news(known: dict[Any, Any], key: object, value: object) -> bool:
    if known.get(key) == value:
        return False
    known[key] = value
    return True


def _ageless(figures: QueueFigures) -> QueueFigures:
    # Age rises by itself, which is no change.
    return msgspec.structs.replace(figures, oldest_age_seconds=0.0)


def _write(look: Look, change: str, value: object) -> None:
    noun = "worker" if change == "worker gone" else change
    print_json_line({"at": look.at, "change": change, noun: value})
