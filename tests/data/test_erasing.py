"""A person erased: here, at every place, and after every restore."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from data_desk import PNG, DataDesk

from audobon.backup.repository import KEYSTORES, LEDGER
from audobon.data.certificate import certificate_path, certificate_text
from audobon.errors import (
    AudobonError,
    Conflict,
    Corrupt,
    InvalidInput,
    OnHold,
    SubjectErased,
    SubjectNotFound,
)
from audobon.processes import FileLock

PAGES = {"p1.png": PNG + b"one", "p2.png": PNG + b"two"}


def blobs_of(desk: DataDesk, job: str) -> list[str]:
    return [str(row[0]) for row in desk.rows(f"SELECT blob FROM entry WHERE job_id = '{job}'")]


def keystores(place: Path) -> list[str]:
    return sorted(path.name for path in (place / KEYSTORES).iterdir())


def test_what_would_go_is_shown_and_nothing_changed(desk: DataDesk, tmp_path: Path) -> None:
    desk.job("ana", PAGES)
    near, far = desk.add_place(tmp_path / "near"), tmp_path / "far"
    desk.places.append(far)

    preview = desk.room.preview("ana")

    assert (preview.name, preview.jobs, preview.tasks, preview.log_lines) == ("ana", 1, 2, 1)
    assert (preview.blobs, preview.packs, preview.holds, preview.running) == (4, 2, [], [])
    assert [(place.place, place.packs, place.keystores) for place in preview.places] == [
        (str(near), 2, 1),
        (str(far), 0, 0),
    ]
    assert [place.place for place in preview.places if place.why_not] == [str(far)]
    assert desk.rows("SELECT count(*) FROM job") == [(1,)]
    assert not (desk.folder / "erasures").exists()


def test_nothing_of_the_erased_is_left_and_others_keep_theirs(desk: DataDesk, tmp_path: Path) -> None:
    job, other = desk.job("ana", PAGES), desk.job("ben", {"p.png": PNG + b"ben"})
    blobs, kept = blobs_of(desk, job), blobs_of(desk, other)
    place = desk.add_place(tmp_path / "place")
    before = keystores(place)

    erased = desk.room.erase("ana")

    assert erased.pending == {}
    assert erased.removed == {"jobs": 1, "tasks": 2, "events": 0, "log lines": 1, "packs": 2}
    assert desk.rows("SELECT id FROM job") == [(other,)]
    assert [desk.app.storage.has(blob) for blob in blobs] == [False, False]
    assert desk.app.storage.get(kept[0]) == PNG + b"ben"
    assert job not in desk.log_text()
    assert other in desk.log_text()
    assert not set(before) & set(keystores(place))
    assert len(list((place / LEDGER).iterdir())) == 1
    with pytest.raises(SubjectNotFound):
        desk.room.preview("ana")
    with pytest.raises(SubjectErased):
        desk.app.keys.new_data_key(erased.subject)


def test_the_certificate_proves_that_nothing_opens_it(desk: DataDesk, tmp_path: Path) -> None:
    desk.job("ana", PAGES)
    desk.job("ben", {"p.png": PNG + b"ben"})
    place = desk.add_place(tmp_path / "place")

    erased = desk.room.erase("ana")
    certificate = desk.room.certificate(erased.subject)

    assert (certificate.asked_at, certificate.finished_at) == (desk.now, desk.now)
    copies = [attempt for attempt in certificate.attempts if "commit" in attempt.where]
    others = [attempt for attempt in certificate.attempts if attempt not in copies]
    where = {attempt.where for attempt in others}
    assert where == {"this machine", "the database and every copy of it", str(place)}
    assert all(attempt.was_readable for attempt in others)
    assert {attempt.what.partition(" of ")[0] for attempt in copies} >= {"job.source", "entry.name"}
    assert not any(attempt.opened_by for attempt in certificate.attempts)
    assert all(attempt.keys_tried >= 3 for attempt in certificate.attempts)
    assert [(each.where, each.until) for each in certificate.remains] == [
        ("the copy of the database", "until 2026-02-08 by the settings of now"),
        (str(place), "until 2027-01-09 by the settings of now, when backups are made and pruned there"),
    ]
    words = certificate_text(certificate)
    assert "none opens it" in words
    assert "ana" not in words

    path = certificate_path(desk.folder, erased.subject)
    path.write_bytes(path.read_bytes().replace(b'"keys_tried":', b'"keys_tried":1', 1))
    with pytest.raises(Corrupt):
        desk.room.certificate(erased.subject)


def test_the_proof_would_tell_a_key_that_is_left(desk: DataDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.job("ana", PAGES)
    monkeypatch.setattr("audobon.keys.erasure._destroy", lambda ring, ledger, entries: (0, 0))

    with pytest.raises(Corrupt) as told:
        desk.room.erase("ana")

    assert "can still be read" in told.value.message


def test_a_copy_of_the_database_that_can_be_read_forbids_the_certificate(desk: DataDesk) -> None:
    desk.job("ana", PAGES)
    with closing(desk.app.database.open()) as connection:
        connection.execute("UPDATE job SET source = '/comics/ana/secret.cbz'")
        # As if it had been sealed a moment later than it was shipped.
        connection.execute("INSERT OR REPLACE INTO once VALUES ('seal rows', 1.0)")

    with pytest.raises(
        Corrupt, match=r"job\.source of .* can still be read, by nobody: it stands there in clear"
    ):
        desk.room.erase("ana")


def test_work_at_hand_forbids_it(desk: DataDesk) -> None:
    job = desk.job("ana", PAGES, state="running")
    lock = desk.app.jobs.lock_of(job)

    with lock, pytest.raises(Conflict) as told:
        desk.room.erase("ana")

    assert job in told.value.message
    assert desk.room.erase("ana").pending == {}


def test_holds_forbid_it_and_are_named(desk: DataDesk) -> None:
    job = desk.job("ana", PAGES)
    (blob, _) = blobs_of(desk, job)
    with desk.app.storage.index.changing() as connection:
        connection.execute("UPDATE blob SET temporary_hold = 1 WHERE key = ?", (bytes.fromhex(blob),))

    with pytest.raises(OnHold) as told:
        desk.room.erase("ana")

    assert blob[:12] in told.value.message
    assert desk.rows("SELECT count(*) FROM job") == [(1,)]


def test_audobons_own_is_never_erased(desk: DataDesk) -> None:
    desk.app.keys.subject("system")

    with pytest.raises(InvalidInput):
        desk.room.erase("system")


def test_the_user_can_be_erased_and_begins_anew(desk: DataDesk) -> None:
    desk.job("personal", PAGES)

    erased = desk.room.erase("personal")
    later = desk.job("personal", PAGES)

    assert desk.app.keys.subject("personal") != erased.subject
    assert desk.room.resume_erasures() == []
    assert desk.room.settle_ledger() == []
    assert desk.rows("SELECT id FROM job") == [(later,)]


def test_a_place_that_is_away_is_finished_when_it_is_back(desk: DataDesk, tmp_path: Path) -> None:
    desk.job("ana", PAGES)
    place = desk.add_place(tmp_path / "place")
    place.rename(tmp_path / "away")

    erased = desk.room.erase("ana")
    again = desk.room.resume_erasures()
    (tmp_path / "away").rename(place)
    finished = desk.room.resume_erasures()

    assert list(erased.pending) == list(again[0].pending) == [str(place)]
    assert finished[0].pending == {}
    assert len(keystores(place)) == 1
    assert desk.room.certificate(erased.subject).finished_at is not None
    assert desk.room.resume_erasures() == []


def test_a_place_that_lets_nothing_be_removed_is_pending(
    desk: DataDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.job("ana", PAGES)
    place = desk.add_place(tmp_path / "place")
    with monkeypatch.context() as patch:
        patch.setattr("audobon.data.erasure_places.REMOVER", "create")
        erased = desk.room.erase("ana")

    assert "not allowed" in erased.pending[str(place)]
    assert len(keystores(place)) == 2
    assert desk.room.resume_erasures()[0].pending == {}
    assert len(keystores(place)) == 1


STEPS = [
    "audobon.keys.ledger.Ledger.append",
    "audobon.data.erasing.ErasurePlaces.note_in_ledgers",
    "audobon.keys.service.Keys.replay",
    "audobon.data.erasing.blank_lines_of",
    "audobon.storage.service.Storage.erase_subject",
    "audobon.data.erasing.ErasurePlaces.renew_keystores",
    "audobon.data.erasing.attempt",
    "audobon.data.erasing.write_certificate",
]


@pytest.mark.parametrize("step", STEPS)
def test_broken_off_anywhere_it_is_finished(
    desk: DataDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    desk.job("ana", PAGES)
    other = desk.job("ben", {"p.png": PNG + b"ben"})
    place = desk.add_place(tmp_path / "place")
    subject = desk.app.keys.find_subject("ana").id

    def die(*arguments: object, **names: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(step, die)
        with pytest.raises(KeyboardInterrupt):
            desk.room.erase("ana")
    desk.open_anew()
    desk.room.resume_erasures()

    certificate = desk.room.certificate(subject)
    assert certificate.finished_at is not None
    assert all(not attempt.opened_by for attempt in certificate.attempts)
    assert desk.rows("SELECT id FROM job") == [(other,)]
    assert len(keystores(place)) == 1


def copy_of(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("locks"))
    return target


@pytest.mark.parametrize("when", range(3))
def test_no_older_state_of_the_folder_brings_anybody_back(desk: DataDesk, tmp_path: Path, when: int) -> None:
    states = []
    place = desk.add_place(tmp_path / "place")
    for number in range(3):
        desk.job("ana", {f"p{number}.png": PNG + b"%d" % number})
        desk.back_up(place)
        desk.app.storage.close()
        states.append(copy_of(desk.folder, tmp_path / f"state{number}"))
    subject = desk.room.erase("ana").subject
    desk.close()
    shutil.rmtree(desk.folder)
    copy_of(states[when], desk.folder)
    desk.open_anew()
    assert desk.app.keys.find_subject("ana").erased_at is None

    learned = desk.learn(place)
    cleared = desk.room.settle_ledger()

    assert (learned, cleared) == ([subject], [subject])
    assert desk.rows("SELECT count(*) FROM job") == [(0,)]
    assert list(desk.app.storage.keys()) == []
    with pytest.raises(SubjectErased):
        desk.app.keys.new_data_key(subject)


def test_a_place_that_was_away_learns_it_from_another(desk: DataDesk, tmp_path: Path) -> None:
    desk.job("ana", PAGES)
    near, far = desk.add_place(tmp_path / "near"), desk.add_place(tmp_path / "far")
    desk.app.storage.close()
    state = copy_of(desk.folder, tmp_path / "state")
    far.rename(tmp_path / "away")
    subject = desk.room.erase("ana").subject
    desk.close()
    shutil.rmtree(desk.folder)
    copy_of(state, desk.folder)
    (tmp_path / "away").rename(far)
    desk.open_anew()

    assert desk.learn(far) == []
    assert desk.learn(near) == [subject]
    assert desk.room.settle_ledger() == [subject]
    with pytest.raises(AudobonError):
        desk.app.keys.new_data_key(subject)


def test_two_erasures_at_once_take_turns(desk: DataDesk) -> None:
    desk.job("ana", PAGES)

    with (
        FileLock(desk.folder / "locks" / "erasure.lock", purpose="erasing"),
        pytest.raises(Conflict),
    ):
        desk.room.erase("ana")
