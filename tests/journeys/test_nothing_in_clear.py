"""Nothing of what people keep here can be read in the data folder by who has no key; and erased is erased."""

import base64
import io
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from audobon_command import Audobon
from drawn_pages import book_contents, drawn, lettered_page, picture_bytes, save_book
from PIL import Image

LETTER_MODELS = ("ppocr-v6-detector", "ppocr-v2-classifier", "ppocr-v6-recogniser")
PROJECT, BOOK, PAGE, BROKEN = "Marderprojekt", "Quastenflosser", "Zirkelkuckuck", "Wolpertinger"
OTHER_FILE = "Murmelbahn"
# What the lettered page says, and what the carried-over file holds.
WORDS = ("WHERE IS", "THE CAT", "BEHIND", "THE DOOR")
NOTE = "Dampfnudelrezept der Urgrossmutter"
MARKERS = (PROJECT, BOOK, PAGE, BROKEN, OTHER_FILE, *WORDS, NOTE)


def ways_of_writing(marker: str) -> list[bytes]:
    """Return a text as files may hold it: in any case of its own, in UTF-8 and UTF-16, and as base64."""
    coded = [base64.b64encode(b" " * shift + marker.encode())[4:-4] for shift in range(3) if len(marker) > 9]
    return [*(marker.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")), *coded]


def runs_of_pixels(picture: Image.Image) -> list[bytes]:
    """Return pieces of rows of a picture that no other has by chance."""
    data = picture.convert("RGB").tobytes()
    row = picture.width * 3
    return [
        data[at : at + 48] for at in range(7 * row, len(data), 11 * row) if len(set(data[at : at + 48])) > 12
    ]


def leaks(data: Path, sought: list[bytes]) -> list[tuple[str, bytes]]:
    """Return what of some bytes lies in the files of a data folder, or in their names."""
    found = []
    for path in sorted(data.rglob("*")):
        # What models are prepared from is no secret; the folder is a link to one shared by all tests.
        name = path.relative_to(data).as_posix()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found += [(name, each) for each in sought if each in content or each in name.encode()]
    return found


def everything_sought(*pictures: bytes) -> list[bytes]:
    sought = [each for marker in MARKERS for each in ways_of_writing(marker)]
    for data in pictures:
        # The file as it was brought, and the pixels it unfolds to.
        sought += [data[at : at + 32] for at in range(64, len(data) - 32, max(32, len(data) // 20))]
        with Image.open(io.BytesIO(data)) as picture:
            sought += runs_of_pixels(picture)
    return sought


@pytest.fixture
def desk(audobon: Audobon) -> Audobon:
    """A desk on which much was done, for a project and for the user."""
    audobon.prepare(*LETTER_MODELS)
    save_book(
        audobon.folder / f"{BOOK}.cbz",
        {
            f"{PAGE}-1.png": picture_bytes(drawn(seed=1)),
            f"{PAGE}-2.png": picture_bytes(drawn(seed=2)),
            f"{BROKEN}.png": b"\x89PNG\r\n\x1a\n no picture",
            f"{OTHER_FILE}.txt": NOTE.encode(),
        },
    )
    lettered_page().save(audobon.folder / f"{PAGE}.png")
    return audobon


def work(desk: Audobon) -> list[bytes]:
    """Do jobs of every kind; return the pictures that came in and out."""
    upscaled = desk.run("run", "upscale", f"{BOOK}.cbz", "-o", f"{BOOK}-print.cbz", "--project", PROJECT)
    assert upscaled.status == 10, upscaled.err
    # One that is carried on, one from the cache, one for the user in person.
    again = desk.run(
        "run", "upscale", f"{BOOK}.cbz", "-o", f"{BOOK}-print.cbz", "--project", PROJECT, "--overwrite"
    )
    assert again.status == 10, again.err
    read = desk.run("run", "letters", f"{PAGE}.png", "--project", PROJECT)
    assert all(line in read.out for line in ("WHERE IS THE CAT", "BEHIND THE DOOR")), read.out
    cut = desk.run("run", "panels", f"{PAGE}.png", "-o", f"{BOOK}-panels")
    assert cut.status == 0, cut.err
    call_off(desk)
    assert desk.run("queue", "schedule", "add", "nightly", "--cron", "0 3 * * *", "prune-tasks").status in (
        0,
        2,
    )
    pictures = [picture_bytes(drawn(seed=1)), picture_bytes(drawn(seed=2))]
    pictures += [(desk.folder / f"{PAGE}.png").read_bytes()]
    return pictures


def call_off(desk: Audobon) -> None:
    """Begin a job, and stop it while its pages are under way."""
    save_book(
        desk.folder / f"{BOOK}-long.cbz",
        {f"{PAGE}-{n}.png": picture_bytes(drawn(900, 900, seed=n)) for n in range(3, 6)},
    )
    process = desk.start("run", "upscale", f"{BOOK}-long.cbz", "-o", "long.cbz", "--memory", "400MB")
    until = time.monotonic() + 20
    while not desk.query("SELECT 1 FROM task WHERE state = 'leased'"):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.terminate()
    assert desk.outcome(process).status == 130


def subject_of_project(desk: Audobon) -> str:
    with closing(desk.keys()) as keys:
        return next(subject.id for subject in keys.subjects() if subject.name == PROJECT)


def test_nothing_of_names_words_and_pixels_lies_readable_in_the_data_folder(desk: Audobon) -> None:
    pictures = work(desk)
    made = book_contents(desk.folder / f"{BOOK}-print.cbz")[f"{PAGE}-1.png"]
    sought = everything_sought(*pictures, made)
    assert len(sought) > 100
    # The books and pages of a running engine lie there too: nothing was tidied away before looking.
    assert desk.query("SELECT count(*) FROM job")[0][0] == 4
    assert leaks(desk.data, sought) == []

    # It is all there for its owner.
    listed = json.loads(desk.run("jobs", "list", "--json").out)
    assert {Path(job["source"]).name for job in listed} == {
        f"{BOOK}.cbz", f"{BOOK}-long.cbz", f"{PAGE}.png"
    }  # fmt: skip
    told = desk.run("logs", "show").out
    assert f"{PAGE}-1.png" in told
    assert f"{BOOK}.cbz" in told
    shown = desk.run(
        "jobs", "show", next(job["id"] for job in listed if job["source"].endswith(f"{BOOK}.cbz"))
    )
    assert f"{BROKEN}.png" in shown.out


@pytest.mark.parametrize("code", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_leak_would_be_seen(audobon: Audobon, code: str) -> None:
    sought = everything_sought(picture_bytes(drawn(seed=1)))
    (audobon.data / "some.bin").write_bytes(b"\0" * 999 + f"...{PAGE}-1.png".encode(code))
    assert leaks(audobon.data, sought)
    (audobon.data / "some.bin").write_bytes(b"\0" * 999 + drawn(seed=1).tobytes())
    assert leaks(audobon.data, sought)


def test_a_name_written_in_clear_would_be_seen_in_the_database(audobon: Audobon) -> None:
    save_book(audobon.folder / f"{BOOK}.cbz", {f"{PAGE}.png": picture_bytes(drawn())})
    assert audobon.run("run", "panels", f"{BOOK}.cbz").status == 0
    sought = everything_sought()
    assert leaks(audobon.data, sought) == []
    with closing(sqlite3.connect(audobon.data / "audobon.db", isolation_level=None)) as connection:
        connection.execute("UPDATE entry SET name = ?", (f"{PAGE}.png",))
    assert {marker for _, marker in leaks(audobon.data, sought)} == {PAGE.encode()}


def test_what_is_erased_is_gone_from_an_older_copy_too_and_the_rest_is_told_as_before(
    desk: Audobon, tmp_path: Path
) -> None:
    for _ in range(2):
        desk.run("run", "letters", f"{PAGE}.png", "--project", PROJECT)
    desk.run("run", "panels", f"{PAGE}.png")
    job_of_project = json.loads(desk.run("jobs", "list", "--json").out)[2]["id"]
    with closing(desk.keys()) as keys:
        keys.erase(subject_of_project(desk))

    own, other, erased = json.loads(desk.run("jobs", "list", "--json").out)
    assert (Path(own["source"]).name, own["state"]) == (f"{PAGE}.png", "done")
    assert (erased["id"], erased["source"], erased["state"]) == (job_of_project, "erased", "erased")
    assert (other["source"], other["state"]) == ("erased", "erased")
    assert desk.run("jobs", "list").status == 0
    shown = json.loads(desk.run("jobs", "show", job_of_project, "--json").out)
    assert (shown["source"], shown["settings"], shown["report"]) == ("erased", {}, None)
    assert [page["name"] for page in shown["pages"]] == ["erased"]
    assert desk.run("queue", "show", "1").status == 0
    told = desk.run("logs", "show")
    assert (told.status, "erased" in told.out) == (0, True)
    # The database is as it was: what makes it unreadable is that the key is gone.
    assert desk.query("SELECT count(*) FROM entry") == [(3,)]
    assert desk.run("jobs", "discard", other["id"]).status == 0
    # A new project of the same name begins with nothing.
    again = desk.run("run", "letters", f"{PAGE}.png", "--project", PROJECT)
    assert again.status == 0
    assert "WHERE IS THE CAT" in again.out
    # The rows that nobody can read any more were cleared away as its engine started.
    new, left = json.loads(desk.run("jobs", "list", "--json").out)
    assert (new["operation"], left["id"]) == ("letters", own["id"])


def test_what_was_made_for_one_project_is_not_taken_for_another(audobon: Audobon) -> None:
    drawn().save(audobon.folder / "page.png")

    def cached(project: str) -> int:
        outcome = audobon.run(
            "run", "upscale", "page.png", "-o", "print.png", "--overwrite", "--project", project, "--json"
        )
        assert outcome.status == 0, outcome.err
        report = json.loads(outcome.out)
        return int(report["pages_cached"])

    assert [cached(name) for name in ("fox", "hare", "fox")] == [0, 0, 1]
    assert audobon.run("plan", "upscale", "page.png", "-o", "other.png", "--project", "wolf").status == 0
    with closing(audobon.keys()) as keys:
        assert {subject.name for subject in keys.subjects()} >= {"fox", "hare"}
        assert "wolf" not in {subject.name for subject in keys.subjects()}
