"""Writes the result of a job to its place."""

from functools import partial
from typing import Any, NamedTuple

from audobon.jobs.assemble import Page, picture_pieces, write_bytes
from audobon.jobs.findings import findings_json, findings_pieces, findings_text, gather_findings
from audobon.jobs.report import JobRequest
from audobon.jobs.target import Piece, Stale, Target, write_target
from audobon.storage.service import Storage


class Published(NamedTuple):
    """What was made of a job.

    findings  of operations that make them, as a JSON-ready tree
    files     written into the output folder; empty for a single file
    """

    findings: dict[str, Any] | None
    files: list[str]


def publish(
    request: JobRequest, target: Target | None, pages: list[Page], storage: Storage, *, stale: Stale
) -> Published:
    """Write the result of a job whole; nothing is written when no page was done.

    stale   what an earlier run of the same job put into the same folder
    raises  DiskFull, Denied, NotFound, OutputExists, Conflict
    """
    makes_pictures = request.operation.makes == "pictures"
    findings = (
        None
        if makes_pictures
        else gather_findings(request.operation.name, str(request.source), pages, storage)
    )
    if target is None or all(page.result is None for page in pages):
        return Published(findings, [])
    pieces = _pieces(target, pages, storage, findings)
    write_target(target, pieces, overwrite=request.overwrite, stale=stale)
    return Published(findings, [piece.name for piece in pieces] if target.kind == "folder" else [])


def _pieces(
    target: Target, pages: list[Page], storage: Storage, findings: dict[str, Any] | None
) -> list[Piece]:
    if findings is None:
        return picture_pieces(pages, storage)
    if target.kind == "folder":
        return findings_pieces(findings, pages, storage)
    data = findings_json(findings) if target.kind == "json" else findings_text(findings).encode() + b"\n"
    return [Piece(target.path.name, None, partial(write_bytes, data=data))]
