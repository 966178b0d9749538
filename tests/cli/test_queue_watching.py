"""What `audobon queue watch` tells and shows, look by look, on a clock that tests turn."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from unittest.mock import Mock

import pytest
from queue_desk import HARMLESS, HOSTILE, JOB, MB, MODEL, START, Desk
from rich.console import Console

from audobon.cli.queue_access import NOTHING
from audobon.cli.queue_lines import JsonLines, PlainLines
from audobon.cli.queue_looks import Happening, Look, Looker, happenings
from audobon.cli.queue_names import TaskNames
from audobon.cli.queue_screen import screen, shortened
from audobon.cli.queue_watch import _looks
from audobon.config import keyrings_folder
from audobon.database.service import Database
from audobon.errors import Unavailable
from audobon.jobs.page_names import PageNames
from audobon.keys.unlocking import open_keys
from audobon.queue.tasks import Capacity, Claimant

ENGINE = 4700


class Watch:
    """Somebody who looks at the queue of a desk."""

    def __init__(self, desk: Desk, looker: Looker) -> None:
        self.names = TaskNames(
            PageNames(Database(desk.folder), open_keys(desk.folder, unlock_folder=keyrings_folder()))
        )
        self._looker = looker
        self._told: list[Happening] = []

    def look(self) -> Look:
        look = self._looker.look()
        self.names.learn(look.mentioned.values())
        return look

    def happened(self) -> list[str]:
        """Look, and return what happened since the look before."""
        return [f"{each.task_id} {each.name}: {each.words}" for each in happenings(self.look(), self.names)]

    def screen(self, *, width: int = 100, height: int = 30) -> list[str]:
        """Look, and return the lines of the screen."""
        look = self.look()
        self._told += happenings(look, self.names)
        console = Console(width=width, height=height, color_system=None, highlight=False)
        with console.capture() as shown:
            console.print(
                screen(look, self.names, self._told, width=width, height=height, ending="Ctrl-C ends this")
            )
        return [line.rstrip() for line in shown.get().splitlines()]


@contextmanager
def watching(desk: Desk, *, engine: int | None = ENGINE) -> Iterator[Watch]:
    with desk.opened() as queue:
        steady = Mock(side_effect=range(0, 10_000, 5))
        yield Watch(desk, Looker(queue, engine_pid=lambda: engine, steady_clock=steady))


def take(desk: Desk, *, limit: int = 1) -> None:
    with desk.opened() as queue:
        desk.claim(queue, limit=limit)


def test_each_page_is_followed_from_begin_to_end(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    with watching(desk) as watch, desk.opened() as queue:
        assert watch.happened() == []

        (lease,) = desk.claim(queue)
        assert watch.happened() == ["1 upscale fox.cbz/1.png: begun"]

        queue.progress(lease, 3, 24)
        assert watch.happened() == []

        desk.now += 12
        queue.fail(lease, code="worker_died", message="killed by signal 9", retry=True)
        assert watch.happened() == [
            "1 upscale fox.cbz/1.png: failed, to be tried again: killed by signal 9",
        ]

        desk.now += 60
        again, other = desk.claim(queue, limit=2)
        desk.now += 4
        queue.finish(again)
        assert sorted(watch.happened()) == [
            "1 upscale fox.cbz/1.png: done in 4 s",
            "2 upscale fox.cbz/2.png: begun",
        ]

        queue.fail(other, code="unreadable_picture", message="no picture", retry=False)
        assert watch.happened() == ["2 upscale fox.cbz/2.png: given up: no picture"]
        assert watch.happened() == []


def test_a_page_that_was_begun_and_done_between_two_looks_is_told_once(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    with watching(desk) as watch, desk.opened() as queue:
        watch.look()
        (lease,) = desk.claim(queue)
        desk.now += 0.25
        queue.finish(lease)

        assert watch.happened() == ["1 upscale fox.cbz/1.png: done in 0.2 s"]
        desk.now += 1
        assert watch.happened() == []


def test_nothing_is_missed_between_looks_that_are_hours_apart(desk: Desk) -> None:
    desk.add_job("1.png")
    with watching(desk) as watch, desk.opened() as queue:
        watch.look()
        (lease,) = desk.claim(queue)
        queue.finish(lease)
        desk.now += 7200

        assert watch.happened() == ["1 upscale fox.cbz/1.png: done in 0 s"]


def test_a_clock_set_back_hides_nothing_and_tells_nothing_twice(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    with watching(desk) as watch, desk.opened() as queue:
        (first,) = desk.claim(queue)
        queue.finish(first)
        assert watch.happened() == ["1 upscale fox.cbz/1.png: done in 0 s"]

        desk.now -= 3600
        (second,) = desk.claim(queue)
        queue.finish(second)
        assert watch.happened() == ["2 upscale fox.cbz/2.png: done in 0 s"]
        assert watch.happened() == []


def test_the_first_look_tells_what_happened_in_the_last_minute(desk: Desk) -> None:
    desk.add_job("1.png", "2.png")
    take(desk)
    with desk.opened() as queue:
        queue.finish_all([])
        (second,) = desk.claim(queue)
        queue.finish(second)
    desk.now += 30

    with watching(desk) as watch:
        assert watch.happened() == [
            "1 upscale fox.cbz/1.png: begun",
            "2 upscale fox.cbz/2.png: done in 0 s",
        ]


def test_the_result_of_equal_work_is_told_once(desk: Desk) -> None:
    desk.add_job("1.png")
    with watching(desk) as watch, desk.opened() as queue:
        watch.look()
        queue.adopt(1, "blob", None)

        assert watch.happened() == ["1 upscale fox.cbz/1.png: done with the result of equal work"]


def test_a_job_that_is_discarded_meanwhile_does_no_harm(desk: Desk) -> None:
    desk.add_job("1.png")
    with watching(desk) as watch, desk.opened() as queue:
        desk.claim(queue)
        watch.look()
        queue._connection.execute("DELETE FROM job")

        assert watch.happened() == []


def test_the_screen_shows_queues_memory_workers_pages_and_what_happened(desk: Desk) -> None:
    # given
    desk.add_job("1.png", "2.png", "3.png")
    with watching(desk) as watch, desk.opened() as queue:
        first, second = desk.claim(queue, limit=2)
        queue.progress(first, 6, 24)
        queue.progress(second, 24, 24)
        queue.cancel(task_ids=[2], reason="not wanted")
        desk.now += 65

        # when
        lines = watch.screen()

    # then
    assert lines == [
        "queue  12:01:05  Ctrl-C ends this",
        "queue        state    ready  waiting  at work  dead     oldest  done/min  failed/min",
        "batch        running      1        0        2     0  1 min 5 s         0           0",
        "interactive  running      0        0        0     0          -         0           0",
        "maintenance  running      0        0        0     0          -         0           0",
        "memory (here): 384 MB of 2.0 GB held",
        "engine: pid 4700; worker: pid 4711",
        "",
        "at work",
        "1  upscale fox.cbz/1.png",
        f"   ━━━━────────────  25 %  1 min 5 s   192 MB  pid 4711  {MODEL}",
        "2  upscale fox.cbz/2.png  asked to stop",
        f"   ━━━━━━━━━━━━━━━━ 100 %  1 min 5 s   192 MB  pid 4711  {MODEL}",
        "",
        "what happened",
        "12:00:00  1  upscale fox.cbz/1.png  begun",
        "12:00:00  2  upscale fox.cbz/2.png  begun",
        "12:00:00  2  upscale fox.cbz/2.png  asked to stop: not wanted",
    ]


def test_an_empty_screen_says_what_to_do(desk: Desk) -> None:
    desk.add_job()

    with watching(desk, engine=None) as watch:
        lines = watch.screen()
    with watching(desk) as watch:
        idle = watch.screen()

    assert lines[5:] == [
        "no engine runs: audobon up starts one, and so does audobon run",
        "",
        "at work",
        "nothing",
        "",
        "what happened",
        "nothing yet",
    ]
    assert idle[5] == "engine: pid 4700; no worker, which starts when there is work"


def test_a_worker_without_a_sign_of_life_is_marked(desk: Desk) -> None:
    desk.add_job("1.png")
    take(desk)
    with watching(desk) as watch:
        watch.screen()
        watch.screen()
        assert "engine: pid 4700; worker: pid 4711 (silent for 10 s)" in watch.screen()
        with desk.opened() as queue:
            queue.beat(["worker"])
        assert "engine: pid 4700; worker: pid 4711" in watch.screen()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (132, 50), (80, 12), (200, 15)])
def test_the_screen_fits_the_terminal_however_much_is_going_on(desk: Desk, width: int, height: int) -> None:
    long_name = "a very long chapter title/第一章 " + "第" * 40 + "/page-001.png"
    desk.add_job(*(long_name.replace("001", f"{number:03}") for number in range(30)))
    take(desk, limit=8)
    with watching(desk) as watch:
        watch.screen(width=width, height=height)
        with desk.opened() as queue:
            queue.cancel(job_id=JOB, reason="x" * 300)

        lines = watch.screen(width=width, height=height)

    console = Console(width=width)
    # The least of each part is shown even where that is more than there is room for.
    assert len(lines) <= max(height, 22)
    assert max(console.measure(line).maximum for line in lines) <= width
    is_cut = any(line.startswith("and ") and line.endswith(" more") for line in lines)
    assert is_cut == (height < 50)
    assert any("page-000.png" in line for line in lines)
    assert any("asked to stop: xxx" in line for line in lines)


def test_the_screen_shows_nothing_hostile(desk: Desk) -> None:
    desk.add_job(HOSTILE, source=f"/{HOSTILE}")
    with watching(desk) as watch, desk.opened() as queue:
        (lease,) = desk.claim(queue)
        queue.progress(lease, 1, 2, note=HOSTILE)
        lines = watch.screen(width=200)

    assert not {"\x1b", "\r", "\x07", "\u202e"} & set("".join(lines))
    assert f"1  upscale {HARMLESS}/{HARMLESS}" in lines or f"1  upscale {HARMLESS}" in lines


def test_lines_tell_each_change_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    desk.add_job("1.png")
    lines = PlainLines()
    with watching(desk) as watch, desk.opened() as queue:
        lines.tell(NOTHING, watch.names)
        lines.tell(NOTHING, watch.names)
        lines.tell(watch.look(), watch.names)

        # when
        (lease,) = desk.claim(queue)
        lines.tell(watch.look(), watch.names)
        desk.now += 5
        queue.finish(lease)
        lines.tell(watch.look(), watch.names)
        lines.tell(watch.look(), watch.names)

    # then
    out, err = capsys.readouterr()
    assert err == "nothing was ever enqueued here; waiting\n"
    assert out == (
        "12:00:00  engine: process 4700\n"
        "12:00:00  batch  running: 1 ready, 0 waiting, 0 at work, 0 dead\n"
        "12:00:00  interactive  running: 0 ready, 0 waiting, 0 at work, 0 dead\n"
        "12:00:00  maintenance  running: 0 ready, 0 waiting, 0 at work, 0 dead\n"
        "12:00:00  task 1  upscale fox.cbz/1.png  begun\n"
        "12:00:00  batch  running: 0 ready, 0 waiting, 1 at work, 0 dead\n"
        "12:00:05  task 1  upscale fox.cbz/1.png  done in 5 s\n"
        "12:00:05  batch  running: 0 ready, 0 waiting, 0 at work, 0 dead\n"
    )


def test_whoever_reads_all_lines_of_json_knows_all(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    desk.add_job("1.png")
    lines = JsonLines()

    def told(watch: Watch) -> list[dict[str, object]]:
        capsys.readouterr()
        lines.tell(watch.look(), watch.names)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    with watching(desk) as watch, desk.opened() as queue:
        queue.set_capacity("here", Capacity(1024 * MB))

        # when
        first = told(watch)
        (lease,) = desk.claim(queue)
        begun = told(watch)
        nothing = told(watch)
        queue.fail(lease, code="worker_died", message="gone", retry=True)
        queue.retire("worker", reason="ended", is_blameless=True)
        given_back = told(watch)

    # then
    assert [each["change"] for each in first] == ["engine", "queue", "queue", "queue", "pool"]
    assert first[0] == {"at": START, "change": "engine", "engine": {"pid": ENGINE}}
    assert [each["change"] for each in begun] == ["queue", "pool", "worker", "task"]
    task = begun[-1]["task"]
    assert isinstance(task, dict)
    assert (task["id"], task["state"], task["page"], task["operation"]) == (1, "leased", "1.png", "upscale")
    assert nothing == []
    assert [each["change"] for each in given_back] == ["queue", "pool", "worker gone", "event", "task"]
    assert given_back[2] == {"at": START, "change": "worker gone", "worker": "worker"}
    assert isinstance(given_back[-1]["task"], dict)
    assert given_back[-1]["task"]["state"] == "waiting"


def test_once_shows_how_it_stands_and_ends(desk: Desk) -> None:
    desk.add_job("1.png")
    take(desk)

    words = desk.queue("watch", "--once")
    as_json = desk.queue("watch", "--once", "--json")

    assert (words.status, words.err) == (0, "")
    assert words.out.splitlines()[0] == "queue  12:00:00"
    assert f"   ────────────────   0 %       0 s   192 MB  pid 4711  {MODEL}" in words.out.splitlines()
    assert "\x1b" not in words.out
    changes = [json.loads(line)["change"] for line in as_json.out.splitlines()]
    assert changes == ["engine", "queue", "queue", "queue", "pool", "worker", "task"]


def test_a_database_that_does_not_answer_is_waited_for_but_not_by_one_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    desk.add_job("1.png")
    locked = Unavailable("it is kept locked by another process")
    answers = [Looker.look, locked, locked, Looker.look, locked]

    def look(looker: Looker) -> Look:
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer(looker)

    monkeypatch.setattr(Looker, "look", look)

    # when
    with closing(_looks(0.0, is_patient=True)) as looks:
        told = [next(looks)[0] for _ in range(4)]
    once = desk.queue("watch", "--once")

    # then
    assert [each if isinstance(each, str) else len(each.queues) for each in told] == [
        3,
        locked.message,
        locked.message,
        3,
    ]
    assert (once.status, once.out, once.err) == (8, "", f"error: {locked.message}\n")


@pytest.mark.parametrize("interval", ["soon", "5", "-1s"])
def test_an_interval_is_a_span_of_time(desk: Desk, interval: str) -> None:
    outcome = desk.queue("watch", "--interval", interval)

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.endswith("hint: write it like 30s, 5m, 2h or 7d\n")


@pytest.mark.parametrize(
    ("name", "cells", "short"),
    [
        ("upscale fox.cbz/1.png", 21, "upscale fox.cbz/1.png"),
        ("upscale fox.cbz/1.png", 20, "upscal…fox.cbz/1.png"),
        ("第一章/第二章/1.png", 12, "第…章/1.png"),
    ],
)
def test_a_long_name_is_cut_in_the_middle(name: str, cells: int, short: str) -> None:
    assert shortened(name, cells) == short


def test_claimants_of_other_machines_are_shown_with_their_pool(desk: Desk) -> None:
    desk.add_job("1.png")
    with watching(desk) as watch, desk.opened() as queue:
        queue.set_capacity("attic", Capacity(8192 * MB, 4096 * MB))
        queue.claim(Claimant(owner="other", pool="attic"))

        lines = watch.screen()

    assert "memory (attic): 192 MB of 8.0 GB held; graphics: 0 MB of 4.0 GB" in lines
    assert f"   ────────────────   0 %       0 s   192 MB  {MODEL}" in lines
