"""What is kept of somebody: seen, handed out, erased."""

import json
import subprocess

from audobon_command import Audobon
from drawn_pages import book_of, panelled_page

ERASE = ("data", "erase", "ana")


def do_some_work(audobon: Audobon) -> None:
    panelled_page().save(audobon.folder / "page.png")
    done = audobon.run("run", "panels", "page.png", "-o", "found.json", "--project", "ana", "--quiet")
    assert done.status == 0, done.err


def test_a_project_is_seen_handed_out_erased_and_certified(audobon: Audobon) -> None:
    do_some_work(audobon)

    listed = json.loads(audobon.run("data", "subjects", "--json").out)
    (ana,) = [each for each in listed if each["name"] == "ana"]
    exported = audobon.run("data", "export", "ana", "-o", "ana.zip")
    checked = audobon.run("data", "export", "--check", "ana.zip")
    shown = audobon.run(*ERASE, "--dry-run")
    unasked = audobon.run(*ERASE, stdin=subprocess.DEVNULL)
    erased = audobon.run(*ERASE, "--yes")
    again = audobon.run(*ERASE, "--yes")
    certificate = audobon.run("data", "certificate", ana["id"])
    after = json.loads(audobon.run("data", "subjects", "--json").out)

    assert (ana["jobs"], ana["tasks"], ana["erased_at"]) == (1, 1, None)
    assert exported.status == checked.status == 0
    assert checked.err.startswith("ana.zip is whole: ")
    assert shown.status == 0
    assert shown.out.splitlines()[0] == f"ana ({ana['id']}) would be erased for good:"
    assert (unasked.status, unasked.err.splitlines()[-1]) == (7, "hint: say --yes")
    assert erased.status == 0
    assert erased.err.startswith(f"{ana['id']} is erased, in ")
    assert (again.status, "no person or project is named 'ana'" in again.err) == (4, True)
    assert certificate.status == 0
    assert "none opens it" in certificate.out
    assert [each["id"] for each in after if each["erased_at"] is not None] == [ana["id"]]
    assert (audobon.folder / "found.json").exists()


def test_a_damaged_export_ends_with_status_9(audobon: Audobon) -> None:
    do_some_work(audobon)
    audobon.run("data", "export", "ana", "-o", "out")
    subject = audobon.folder / "out" / "subject.json"
    subject.write_bytes(subject.read_bytes().replace(b"ana", b"bob"))

    checked = audobon.run("data", "export", "--check", "out")

    assert checked.status == 9
    assert checked.err.splitlines()[0] == "subject.json is not as it was written"


def test_work_at_hand_is_called_off_when_that_is_asked(audobon: Audobon) -> None:
    book_of(audobon.folder / "fox.cbz", 3)
    audobon.run("queue", "pause", "batch")
    run = audobon.start("run", "upscale", "fox.cbz", "-o", "big.cbz", "--project", "ana")
    while not audobon.query("SELECT 1 FROM task"):
        assert run.poll() is None

    refused = audobon.run(*ERASE, "--yes")
    erased = audobon.run(*ERASE, "--yes", "--cancel-running")
    ended = audobon.outcome(run)

    assert (refused.status, "--cancel-running" in refused.err) == (5, True)
    assert erased.status == 0, erased.err
    assert ended.status != 0
    assert audobon.query("SELECT count(*) FROM job") == [(0,)]


def test_policies_are_shown_set_and_run(audobon: Audobon) -> None:
    shown = audobon.run("data", "retention", "show")
    changed = audobon.run("data", "retention", "set", "jobs", "--days", "30", "--minimum", "10")
    refused = audobon.run("data", "retention", "set", "jobs", "--days", "5")
    run = audobon.run("data", "retention", "run", "--dry-run")

    headings = "kind kept for at least hold what it is"
    assert shown.out.splitlines()[0].split() == headings.split()
    assert "30 days" in changed.err
    assert (refused.status, "jobs must be kept for 10 days, and 5 is less" in refused.err) == (2, True)
    assert run.out.splitlines()[:2] == [
        "jobs      would remove 0",
        "originals nothing: kept until it is discarded",
    ]
