"""A damaged data folder is mended when work begins, and said to be; an old one is taken over whole."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from audobon_command import Audobon
from drawn_pages import drawn, picture_bytes
from old_data_folder import build

RUN = ("run", "panels", "pages", "--quiet")


def begin_a_job(audobon: Audobon) -> None:
    """Do a folder of which a page cannot be done, so that the others are kept for the next run."""
    folder = audobon.folder / "pages"
    folder.mkdir()
    for number in (1, 2):
        drawn(300, 400, seed=number).save(folder / f"page{number}.png")
    (folder / "page3.png").write_bytes(picture_bytes(drawn(300, 400, seed=3))[:5000])
    assert audobon.run(*RUN).status == 10


def ruin_database(audobon: Audobon) -> None:
    for path in audobon.data.glob("audobon.db-*"):
        path.unlink()
    (audobon.data / "audobon.db").write_bytes(b"no database" * 1000)


def test_a_run_mends_what_is_damaged_says_so_and_goes_on_where_it_was(audobon: Audobon) -> None:
    begin_a_job(audobon)
    jobs = audobon.run("jobs", "list").out
    assert audobon.run("backup", "add", "place").status == 0
    assert audobon.run("backup", "now").status == 0
    ruin_database(audobon)
    for path in [*audobon.data.glob("storage.db*"), *audobon.data.glob("blobs/*/*/*/*.pack")]:
        path.unlink()

    refused = audobon.run("jobs", "list")
    again = audobon.run(*RUN, "--json")

    assert refused.status == 9
    assert refused.err.endswith("hint: audobon recovery mend\n")
    assert again.err.count("mended: ") == 2, again.err
    assert "it was restored from its own copy up to commit" in again.err
    assert "1 packs were missing or torn, and were fetched from backups" in again.err
    assert audobon.run("jobs", "list").out == jobs
    listed = json.loads(audobon.run("recovery", "list", "--json").out)
    assert [each["what"] for each in listed] == ["database restored", "packs fetched"]
    shown = audobon.run("recovery", "show", listed[0]["id"])
    assert shown.out.startswith(f"{listed[0]['id']}  ")
    assert f"{listed[0]['words']}.\n" in shown.out
    kept = Path(listed[0]["facts"]["kept"])
    assert (kept / "audobon.db").read_bytes() == b"no database" * 1000
    assert audobon.run("recovery", "mend").err == "nothing is amiss\n"


def test_the_engine_tells_of_an_unclean_stop_and_what_it_mended_as_lines_of_json(audobon: Audobon) -> None:
    begin_a_job(audobon)
    first = audobon.start("up", "--json")
    assert first.stdout is not None
    assert json.loads(first.stdout.readline())["event"] == "engine started"
    first.kill()
    first.communicate()
    ruin_database(audobon)

    second = audobon.start("up", "--json")
    assert second.stdout is not None
    lines = [json.loads(second.stdout.readline()) for _ in range(3)]
    second.send_signal(signal.SIGTERM)
    second.communicate()

    assert [line["event"] for line in lines] == [
        "recovery: database restored",
        "engine started",
        "recovery: unclean stop",
    ]
    assert lines[0]["commit"] > 0
    logged = [json.loads(line) for line in (audobon.data / "logs" / "audobon.jsonl").read_text().splitlines()]
    told = [(line["event"], line["level"]) for line in logged if line["category"] == "recovery"]
    assert told == [("database restored", "warning"), ("unclean stop", "info")]
    third = audobon.start("up", "--json")
    assert third.stdout is not None
    assert json.loads(third.stdout.readline())["event"] == "engine started"
    third.send_signal(signal.SIGTERM)
    rest, _ = third.communicate()
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["engine stopped"]


def test_a_lost_keyring_ends_with_the_command_to_type_and_that_command_mends_it(audobon: Audobon) -> None:
    begin_a_job(audobon)
    assert audobon.run("backup", "add", "place").status == 0
    assert audobon.run("backup", "now").status == 0
    assert audobon.run("keys", "export-recovery", "--yes", "--output", "words").status == 0
    shutil.rmtree(audobon.data / "keys")
    shutil.rmtree(audobon.home / "config" / "audobon" / "keyrings")

    refused = audobon.run("up", stdin=subprocess.DEVNULL)
    mended = audobon.run("recovery", "mend", "--recovery-words-file", "words")

    assert refused.status == 4
    assert refused.err == (
        f"error: {audobon.data}/keys/keystore.db, with all keys of this data folder, is gone\n"
        "hint: with the 24 recovery words: audobon recovery mend --recovery-words-file FILE\n"
    )
    assert mended.status == 0
    assert "it was made anew from the newest export in" in mended.err
    assert "partial  panels    2/3" in audobon.run("jobs", "list").out


def test_a_restore_in_place_is_refused_while_an_engine_runs_and_brings_an_older_state_back(
    audobon: Audobon,
) -> None:
    begin_a_job(audobon)
    status = json.loads(audobon.run("database", "status", "--json").out)
    commit = status["shipped"]["commit"]
    assert audobon.run("queue", "pause", "batch").status == 0
    engine = audobon.start("up", "--json")
    assert engine.stdout is not None
    engine.stdout.readline()
    refused = audobon.run("database", "restore", "--to", commit, "--in-place")
    engine.send_signal(signal.SIGTERM)
    engine.communicate()

    restored = audobon.run("database", "restore", "--to", commit, "--in-place")

    assert refused.status == 5
    assert restored.status == 0, restored.err
    first, second, third = restored.err.splitlines()
    assert first.startswith(f"restored commit {commit} of ")
    assert f" into {audobon.data / 'audobon.db'} (" in first
    assert second.startswith("what was there before is in ")
    assert third == "look: audobon jobs list; when it is as it should be: audobon backup now"
    assert audobon.run("recovery", "mend").err == "nothing is amiss\n"


def test_a_data_folder_of_before_is_taken_over_sealed_backed_up_and_restored_without_loss(
    audobon: Audobon, tmp_path: Path
) -> None:
    pages = {f"fox-{number}.png": picture_bytes(drawn(300, 400, seed=number)) for number in range(3)}
    pages["fox-large.png"] = os.urandom(1 << 21)
    keys = build(audobon.data, audobon.folder / "foxes", pages)

    mended = audobon.run("recovery", "mend")
    listed = audobon.run("jobs", "list").out
    assert audobon.run("backup", "add", "place").status == 0
    backed_up = audobon.run("backup", "now")

    assert mended.status == 0, mended.err
    assert f"{len(pages)} blobs of before, which lay in clear, were encrypted" in mended.err
    assert "interrupted  panels    3/4" in listed
    assert str(audobon.folder / "foxes") in listed
    assert backed_up.status == 0, backed_up.err
    # A run, as any engine, seals the rows; nothing of it lies in clear then.
    folder = audobon.folder / "other"
    folder.mkdir()
    drawn(96, 128).save(folder / "page.png")
    assert audobon.run("run", "panels", "other", "--quiet").status == 0
    assert audobon.run("backup", "now").status == 0
    for path in [*audobon.data.rglob("*"), *(audobon.folder / "place").rglob("*")]:
        if path.is_file() and "before-migration" not in path.parts and path.suffix != ".log":
            data = path.read_bytes()
            assert b"fox-1.png" not in data, path
            assert pages["fox-1.png"][:2000] not in data, path
    assert audobon.run("backup", "restore", "--into", "restored").status == 0
    for data in (audobon.data, audobon.folder / "restored"):
        audobon.environment["AUDOBON_STORAGE_FOLDER"] = str(data)
        assert "interrupted  panels    3/4" in audobon.run("jobs", "list").out
        for name, key in keys.items():
            target = tmp_path / f"{data.name}-{name}"
            assert audobon.run("storage", "get", key, "-o", target).status == 0
            assert target.read_bytes() == pages[name]
    audobon.environment["AUDOBON_STORAGE_FOLDER"] = str(audobon.data)
