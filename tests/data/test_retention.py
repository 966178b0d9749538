"""How long data is kept, and what goes then."""

from pathlib import Path

import pytest
from data_desk import PNG, START, DataDesk

from audobon.data.policies import DAY_SECONDS, DataKind, Policy
from audobon.errors import Corrupt, InvalidInput, OnHold

PAGES = {"p1.png": PNG + b"one"}


def removed(desk: DataDesk, *, is_dry: bool = False) -> dict[str, int]:
    return {each.kind: each.count for each in desk.room.apply_retention(is_dry=is_dry)}


def test_by_default_only_old_lines_of_the_log_go(desk: DataDesk) -> None:
    assert [(policy.kind, policy.days) for policy in desk.room.policies.all()] == [
        ("jobs", None),
        ("originals", None),
        ("results", None),
        ("events", None),
        ("logs", 90.0),
        ("cache", None),
    ]


def test_jobs_that_ended_long_ago_go_and_younger_ones_stay(desk: DataDesk) -> None:
    desk.room.policies.set(Policy("jobs", days=30))
    desk.job("ana", PAGES, state="done")
    desk.now = START + 20 * DAY_SECONDS
    young = desk.job("ana", PAGES, state="done")
    unfinished = desk.job("ana", PAGES, state="partial", at=START)
    desk.now = START + 31 * DAY_SECONDS

    counted, went = removed(desk, is_dry=True), removed(desk)

    assert counted == went
    assert went["jobs"] == 1
    assert desk.rows("SELECT id FROM job ORDER BY id") == sorted([(young,), (unfinished,)])


def test_results_and_originals_of_work_broken_off_go_and_it_is_done_again(desk: DataDesk) -> None:
    desk.room.policies.set(Policy("originals", days=30))
    desk.room.policies.set(Policy("results", days=10))
    desk.job("ana", PAGES)
    desk.now = START + 11 * DAY_SECONDS

    first = removed(desk)
    state = desk.rows("SELECT state, result_blob FROM task")
    kept = len(list(desk.app.storage.keys()))
    desk.now = START + 31 * DAY_SECONDS
    second = removed(desk)

    assert (first["results"], first["originals"], state, kept) == (1, 0, [("cancelled", None)], 1)
    assert (second["results"], second["originals"]) == (0, 1)
    assert desk.rows("SELECT blob FROM entry") == [(None,)]
    assert list(desk.app.storage.keys()) == []


def test_a_running_job_is_never_touched(desk: DataDesk) -> None:
    for kind in ("jobs", "originals", "results"):
        desk.room.policies.set(Policy(kind, days=0))  # type: ignore[arg-type]
    desk.job("ana", PAGES, state="running")
    desk.now = START + 400 * DAY_SECONDS

    assert removed(desk) == {"jobs": 0, "originals": 0, "results": 0, "events": 0, "logs": 0, "cache": 0}


def test_lines_of_the_log_go_by_their_age(desk: DataDesk) -> None:
    logs = desk.folder / "logs"
    logs.mkdir(parents=True)
    old, new = b'{"at":"2025-01-01T00:00:00Z","job":"a"}\n', b'{"at":"2026-01-01T00:00:00Z","job":"b"}\n'
    (logs / "audobon.jsonl.2").write_bytes(old + old)
    (logs / "audobon.jsonl").write_bytes(old + new)

    counted = removed(desk, is_dry=True)["logs"]
    went = removed(desk)["logs"]

    assert (counted, went) == (3, 3)
    assert not (logs / "audobon.jsonl.2").exists()
    assert (logs / "audobon.jsonl").read_bytes() == b" " * (len(old) - 1) + b"\n" + new


def test_a_writer_beside_it_loses_no_line(desk: DataDesk) -> None:
    desk.room.policies.set(Policy("logs", days=0))
    desk.app.log.write("job", "before", job="x")
    desk.now = 4e9

    assert removed(desk)["logs"] == 1
    desk.app.log.write("job", "after", job="y")
    lines = desk.log_text().splitlines()
    assert (lines[0].strip(), '"after"' in lines[1]) == ("", True)


def test_nothing_in_the_cache_grows_older_than_its_policy(desk: DataDesk) -> None:
    desk.room.policies.set(Policy("cache", days=7))
    desk.job("ana", PAGES)

    first = removed(desk)["cache"]
    desk.now = START + 6 * DAY_SECONDS
    second = removed(desk)["cache"]
    desk.now = START + 8 * DAY_SECONDS
    third = removed(desk)["cache"]

    assert (first, second, third) == (0, 0, 1)
    assert desk.app.cache.figures().tiles == 0


def test_a_hold_keeps_everything_and_forbids_erasing(desk: DataDesk) -> None:
    desk.room.policies.set(Policy("jobs", days=0, hold="case 12"))
    desk.job("ana", PAGES, state="done")
    desk.now = START + DAY_SECONDS

    jobs = desk.room.apply_retention(is_dry=False)[0]

    assert (jobs.count, jobs.why_not) == (0, "on hold: case 12")
    with pytest.raises(OnHold) as told:
        desk.room.erase("ana")
    assert "all jobs (case 12)" in told.value.message


@pytest.mark.parametrize(
    "policy",
    [
        Policy("jobs", days=10, minimum_days=30),
        Policy("jobs", days=-1),
        Policy("jobs", minimum_days=-1),
        Policy("jobs", days=float("nan")),
        Policy("jobs", days=1e9),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(desk: DataDesk, policy: Policy) -> None:
    with pytest.raises(InvalidInput):
        desk.room.policies.set(policy)


def test_a_minimum_counts_though_the_file_was_edited(desk: DataDesk) -> None:
    path = desk.folder / "retention.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"format":1,"policies":[{"kind":"jobs","days":1,"minimum_days":30}]}')
    desk.job("ana", PAGES, state="done")
    desk.now = START + 29 * DAY_SECONDS

    assert removed(desk)["jobs"] == 0
    desk.now = START + 31 * DAY_SECONDS
    assert removed(desk)["jobs"] == 1


@pytest.mark.parametrize("text", ["", "{", '{"policies":[{"kind":"sins"}]}', "[]"])
def test_a_damaged_file_is_told_and_nothing_removed(desk: DataDesk, tmp_path: Path, text: str) -> None:
    desk.job("ana", PAGES, state="done")
    (desk.folder / "retention.json").write_text(text)

    with pytest.raises(Corrupt):
        desk.room.apply_retention(is_dry=False)
    assert desk.rows("SELECT count(*) FROM job") == [(1,)]


def test_every_kind_says_what_it_is(desk: DataDesk) -> None:
    from audobon.data.policies import DATA_KINDS, MEANINGS

    kinds: tuple[DataKind, ...] = DATA_KINDS
    assert tuple(MEANINGS) == kinds
