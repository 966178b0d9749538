"""Findings of a document: one tree, told as JSON, as words, and as a folder with pictures."""

import io
import json
import zipfile
from typing import Any

import pytest
from made_pages import contents, taken, task

from audobon.jobs.assemble import Page
from audobon.jobs.findings import findings_json, findings_pieces, findings_text, gather_findings
from audobon.jobs.ingest import Fault
from audobon.storage.service import Storage

BOX = {"x": 3, "y": 4, "width": 10, "height": 20}


def with_pictures(storage: Storage, name: str, panels: int = 1) -> Page:
    """Return a page with so many panels found, each cut out, and an overview."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pictures:
        for number in range(1, panels + 1):
            pictures.writestr(f"panel-{number:02}.png", f"{name} {number}")
        pictures.writestr("overview.png", f"all of {name}")
    found = {"panels": [{"box": BOX} for _ in range(panels)]}
    return Page(taken(name), task("done", storage.put(packed.getvalue()), found))


def failed(name: str) -> Page:
    return Page(taken(name), task("failed", code="error", message="no"))


def test_findings_hold_every_page_in_order_and_failures_in_their_place(storage: Storage) -> None:
    pages = [
        Page(taken("1.png"), task("done", findings={"panels": [{"box": BOX}, {"box": BOX}]})),
        Page(taken("2.png", fault=Fault("denied", "no")), None),
        Page(taken("notes.txt"), None),
    ]

    findings = gather_findings("panels", "fox.cbz", pages, storage)

    assert findings == {
        "operation": "panels",
        "document": "fox.cbz",
        "pages": [
            {
                "name": "1.png",
                "width": 20,
                "height": 30,
                "panels": [{"box": BOX, "number": 1}, {"box": BOX, "number": 2}],
            },
            {"name": "2.png", "error": {"code": "denied", "message": "no"}},
        ],
    }
    assert json.loads(findings_json(findings)) == findings
    assert findings_json(findings).endswith(b"}\n")


def test_pictures_of_findings_get_a_folder_for_each_page_named_without_its_ending(storage: Storage) -> None:
    pages = [with_pictures(storage, "a/1.png", panels=2), failed("2.png"), with_pictures(storage, "b.1.png")]
    findings = gather_findings("panels", "fox", pages, storage)

    found = contents(findings_pieces(findings, pages, storage))

    assert found == {
        "panels.json": findings_json(findings),
        "a/1/panel-01.png": b"a/1.png 1",
        "a/1/panel-02.png": b"a/1.png 2",
        "a/1/overview.png": b"all of a/1.png",
        "b.1/panel-01.png": b"b.1.png 1",
        "b.1/overview.png": b"all of b.1.png",
    }
    told = [panel for page in findings["pages"] for panel in page.get("panels", [])]
    assert [(panel["number"], panel["picture"]) for panel in told] == [
        (1, "a/1/panel-01.png"),
        (2, "a/1/panel-02.png"),
        (1, "b.1/panel-01.png"),
    ]


def test_pictures_of_a_single_page_lie_beside_the_json(storage: Storage) -> None:
    pages = [with_pictures(storage, "a/1.png"), Page(taken("notes.txt"), None)]
    findings = gather_findings("panels", "fox", pages, storage)

    assert sorted(contents(findings_pieces(findings, pages, storage))) == [
        "overview.png",
        "panel-01.png",
        "panels.json",
    ]
    assert findings["pages"][0]["panels"][0]["picture"] == "panel-01.png"


@pytest.mark.parametrize(
    ("first", "second"), [("1.png", "1.jpg"), ("p.png", "P.png"), ("page.png", "page.png.png")]
)
def test_pages_never_share_a_folder(storage: Storage, first: str, second: str) -> None:
    pages = [with_pictures(storage, name) for name in (first, second)]
    findings = gather_findings("panels", "fox", pages, storage)

    found = contents(findings_pieces(findings, pages, storage))

    for page in findings["pages"]:
        assert found[page["panels"][0]["picture"]] == f"{page['name']} 1".encode()
    assert len(found) == 1 + 2 * 2


def test_a_page_keeps_its_ending_in_the_name_of_its_folder_when_another_has_the_same_stem(
    storage: Storage,
) -> None:
    names = ("page.png", "page.jpg", "page.png.png", "page.x.png", "other.png")
    pages = [with_pictures(storage, name) for name in names]
    findings = gather_findings("panels", "fox", pages, storage)

    folders = [page["panels"][0]["picture"].removesuffix("/panel-01.png") for page in findings["pages"]]

    assert folders == ["page.png", "page.jpg", "page.png.png", "page.x", "other"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"balloons": []}, "  no lettering found"),
        ({"panels": []}, None),
        (
            {"balloons": [{"kind": "speech", "text": "HI"}, {"kind": "effect", "text": "BANG"}]},
            "   1. [speech] HI\n   2. [effect] BANG",
        ),
        ({"panels": [{"box": BOX}]}, "   1. 10×20 at 3,4"),
    ],
)
def test_findings_are_told_in_words_page_by_page(
    storage: Storage, found: dict[str, Any], said: str | None
) -> None:
    pages = [Page(taken("1.png"), task("done", findings=found)), failed("2.png")]

    words = findings_text(gather_findings("letters", "fox", pages, storage))

    expected = ["1.png", *([] if said is None else [said]), "2.png", "  could not be done: no"]
    assert words == "\n".join(expected)


def test_a_page_that_was_called_off_is_not_told_as_one_that_failed(storage: Storage) -> None:
    page = Page(taken("1.png"), task("failed", code="cancelled", message="its run was stopped"))

    words = findings_text(gather_findings("letters", "fox", [page], storage))

    assert words == "1.png\n  called off: its run was stopped"
