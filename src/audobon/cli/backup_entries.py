"""Backups as they are listed: for programs and for people, of this machine and of a place alone."""

from typing import TYPE_CHECKING

import click
import msgspec

from audobon.cli.backup_words import amount_of
from audobon.cli.durations import span
from audobon.cli.queue_words import columns, moment
from audobon.cli.terminal import print_json, say
from audobon.errors import BackupNotFound

if TYPE_CHECKING:
    from audobon.backup.locations import Location
    from audobon.backup.manifest import Manifest

HEADINGS = ("id", "made", "age", "size", "added", "jobs", "state")
RIGHT = ("size", "added", "jobs")


class Entry(msgspec.Struct, frozen=True):
    """A backup for programs; `at` is UTC seconds, the rest as in the manifest."""

    id: str
    at: float
    size_bytes: int
    added_bytes: int
    jobs: int
    packs: int
    lacking: dict[str, str]
    keystore_fault: str | None


def entry_of(manifest: "Manifest") -> Entry:
    """Return a backup for programs."""
    return Entry(
        manifest.id,
        manifest.at,
        manifest.size_bytes,
        manifest.added_bytes,
        manifest.counts.jobs,
        len(manifest.packs),
        manifest.lacking,
        manifest.keystore_fault,
    )


def row_of(manifest: "Manifest", *, now: float) -> tuple[str, ...]:
    """Return a backup for people, under HEADINGS."""
    return (
        manifest.id,
        moment(manifest.at),
        span(max(0.0, now - manifest.at)),
        amount_of(manifest.size_bytes),
        amount_of(manifest.added_bytes),
        str(manifest.counts.jobs),
        _state(manifest),
    )


def _state(manifest: "Manifest") -> str:
    if manifest.lacking:
        return f"lacks {len(manifest.lacking)}"
    return "whole" if manifest.is_whole else "older keys"


def list_without_keys(place: "Location", *, as_json: bool) -> None:
    """List the backups of a place whose keyring is not here: their lists are signed, not secret.

    raises  Unavailable, BackupNotFound
    """
    from audobon.backup.repository import open_repository
    from audobon.clock import utc_now

    stored, damaged = open_repository(place, None, rights="read").readable()
    if as_json:
        listed = {
            "place": str(place),
            "backups": [entry_of(each.manifest) for each in stored],
            "damaged": [error.message for error in damaged],
        }
        print_json({"places": [listed]})
    elif stored:
        now = utc_now()
        click.echo(
            "\n".join(columns(HEADINGS, [row_of(each.manifest, now=now) for each in stored], right=RIGHT))
        )
    for error in damaged:
        say(f"damaged: {error.message}")
    if not stored:
        raise BackupNotFound(f"{place} holds no sound backup")
