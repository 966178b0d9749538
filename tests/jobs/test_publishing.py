"""Publishing: what was found or made goes where it was asked to, or nothing is written at all."""

from pathlib import Path

from made_pages import taken, task

from audobon.jobs.assemble import Page
from audobon.jobs.findings import findings_json
from audobon.jobs.publishing import publish
from audobon.jobs.report import JobRequest
from audobon.jobs.target import NOTHING_STALE, Target
from audobon.pages.operations import operation_named, parse_settings
from audobon.storage.service import Storage


def request(operation: str, *, overwrite: bool = False) -> JobRequest:
    chosen = operation_named(operation)
    return JobRequest(
        operation=chosen,
        settings=parse_settings(chosen, "{}"),
        source=Path("fox"),
        target=None,
        overwrite=overwrite,
        budget_bytes=1,
    )


def lettered(name: str) -> Page:
    return Page(taken(name), task("done", findings={"balloons": []}))


def failed(name: str) -> Page:
    return Page(taken(name), task("failed", code="error", message="no"))


def test_findings_without_a_place_are_only_returned(storage: Storage) -> None:
    published = publish(request("letters"), None, [lettered("1.png")], storage, stale=NOTHING_STALE)

    assert published.findings is not None
    assert published.findings["pages"][0]["name"] == "1.png"
    assert published.files == []


def test_findings_go_to_a_file_as_json_or_in_words(storage: Storage, tmp_path: Path) -> None:
    targets = [Target(tmp_path / "fox.json", "json"), Target(tmp_path / "fox.txt", "text")]
    for target in targets:
        published = publish(request("letters"), target, [lettered("1.png")], storage, stale=NOTHING_STALE)
        assert published.files == []

    assert published.findings is not None
    assert targets[0].path.read_bytes() == findings_json(published.findings)
    assert targets[1].path.read_text() == "1.png\n  no lettering found\n"


def test_pictures_in_a_folder_are_named_in_order_and_there_are_no_findings(
    storage: Storage, tmp_path: Path
) -> None:
    pages = [
        Page(taken("2.png"), task("done", storage.put(b"two"))),
        Page(taken("notes.txt", storage.put(b"notes")), None),
    ]
    target = Target(tmp_path / "print", "folder")

    published = publish(request("upscale"), target, pages, storage, stale=NOTHING_STALE)

    assert published == (None, ["2.png", "notes.txt"])
    assert {path.name: path.read_bytes() for path in target.path.iterdir()} == {
        "2.png": b"two",
        "notes.txt": b"notes",
    }


def test_nothing_is_written_when_no_page_was_done(storage: Storage, tmp_path: Path) -> None:
    for operation, kind in (("upscale", "folder"), ("letters", "text")):
        target = Target(tmp_path / "print", kind)  # type: ignore[arg-type]
        published = publish(request(operation), target, [failed("1.png")], storage, stale=NOTHING_STALE)
        assert published.files == []
        assert not target.path.exists()
