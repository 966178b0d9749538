"""Findings of a whole document: as JSON, as words, and as files with their pictures."""

import zipfile
from collections import Counter
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

import msgspec

from audobon.errors import Cancelled
from audobon.jobs.assemble import Page, page_report, write_bytes
from audobon.jobs.target import Piece
from audobon.storage.service import Storage


def gather_findings(operation: str, document: str, pages: list[Page], storage: Storage) -> dict[str, Any]:
    """Return the findings of all pages as one JSON-ready tree; panels know their number and picture."""
    told: list[dict[str, Any]] = []
    folders = _page_folders(pages)
    for page in pages:
        name = page.taken.entry.name
        if not page.taken.entry.is_page:
            continue
        if (result := page.result) is None:
            report = page_report(page, is_resumed=False)
            told.append({"name": name, "error": {"code": report.code, "message": report.message}})
            continue
        found = msgspec.json.decode(result.findings, type=dict[str, Any])
        pictures = [file for file in _pictures(page, storage) if file.startswith("panel-")]
        for number, panel in enumerate(found.get("panels", []), start=1):
            panel["number"] = number
            if pictures:
                panel["picture"] = folders[name] + pictures[number - 1]
        told.append({"name": name, "width": result.width, "height": result.height, **found})
    return {"operation": operation, "document": document, "pages": told}


def findings_json(findings: dict[str, Any]) -> bytes:
    """Return findings as people and programs read them."""
    return msgspec.json.format(msgspec.json.encode(findings), indent=2) + b"\n"


def findings_text(findings: dict[str, Any]) -> str:
    """Return findings in words, page by page."""
    lines: list[str] = []
    for page in findings["pages"]:
        lines.append(page["name"])
        if "error" in page:
            is_called_off = page["error"]["code"] == Cancelled.code
            words = "called off" if is_called_off else "could not be done"
            lines.append(f"  {words}: {page['error']['message']}")
        elif page.get("balloons") == []:
            lines.append("  no lettering found")
        for number, balloon in enumerate(page.get("balloons", []), start=1):
            lines.append(f"  {number:>2}. [{balloon['kind']}] {balloon['text']}")
        for panel in page.get("panels", []):
            box = panel["box"]
            lines.append(f"  {panel['number']:>2}. {box['width']}×{box['height']} at {box['x']},{box['y']}")
    return "\n".join(lines)


def findings_pieces(findings: dict[str, Any], pages: list[Page], storage: Storage) -> list[Piece]:
    """Return the files of a folder of findings: the JSON, and each page's pictures.

    The pictures of a page lie in a folder named like it, without its ending; those of a single page beside
    the JSON.
    """
    pieces = [
        Piece(f"{findings['operation']}.json", None, partial(write_bytes, data=findings_json(findings)))
    ]
    folders = _page_folders(pages)
    for page in pages:
        if page.task is not None and page.task.result_blob is not None:
            blob = page.task.result_blob
            pieces += [
                Piece(
                    folders[page.taken.entry.name] + name, None, partial(_copy_picture, storage, blob, name)
                )
                for name in _pictures(page, storage)
            ]
    return pieces


def _page_folders(pages: list[Page]) -> dict[str, str]:
    """Return where the pictures of each page go, by its name: "" or a path that ends with a slash."""
    names = [page.taken.entry.name for page in pages if page.taken.entry.is_page]
    if len(names) == 1:
        return {names[0]: ""}
    stems = {name: str(PurePosixPath(name).with_suffix("")) for name in names}
    # page.png and page.jpg in one document keep their endings, and so does page.png.png beside them.
    taken = Counter(stem.casefold() for stem in stems.values())
    taken.update(name.casefold() for name in names)
    return {name: (stem if taken[stem.casefold()] == 1 else name) + "/" for name, stem in stems.items()}


def _pictures(page: Page, storage: Storage) -> list[str]:
    if page.task is None or page.task.result_blob is None:
        return []
    with storage.open(page.task.result_blob) as file, zipfile.ZipFile(file) as pictures:
        return pictures.namelist()


def _copy_picture(storage: Storage, blob: str, name: str, target: IO[bytes]) -> None:
    with storage.open(blob) as file, zipfile.ZipFile(file) as pictures:
        target.write(pictures.read(name))
