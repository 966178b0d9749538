"""How long each kind of data is kept, as its owner says; kept in one small file of the data folder."""

from pathlib import Path
from typing import Literal, get_args

import msgspec

from audobon.atomic import disk_errors, make_private_folder, write_bytes
from audobon.errors import Corrupt, InvalidInput, NewerFormat

DataKind = Literal["jobs", "originals", "results", "events", "logs", "cache"]

DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)

MEANINGS: dict[DataKind, str] = {
    "jobs": "what is on record of jobs that ended, from their end",
    "originals": "files taken in for jobs that were broken off, from the job's last change",
    "results": "finished pages of jobs that were broken off, from when each was made",
    "events": "what happened to each task, and when",
    "logs": "lines of the log",
    "cache": "pages and tiles made before; emptied whole, so that nothing in it grows older",
}
"""What each kind of data is."""

_FORMAT = 1
_MOST_DAYS = 36_500.0
DAY_SECONDS = 86_400.0


class Policy(msgspec.Struct, frozen=True):
    """How long one kind of data is kept.

    days          None: until it is discarded
    minimum_days  that some law asks for: nothing younger is removed by retention, nor may `days` be less
    hold          why nothing of it may be removed at all, erasure included; "": it may
    """

    kind: DataKind
    days: float | None = None
    minimum_days: float = 0.0
    hold: str = ""


class _File(msgspec.Struct):
    """cache_emptied_at  since when the cache holds anything, at the earliest; UTC seconds."""

    format: int = _FORMAT
    policies: list[Policy] = []
    cache_emptied_at: float | None = None


_DEFAULTS: dict[DataKind, Policy] = {
    kind: Policy(kind, days=90.0 if kind == "logs" else None) for kind in DATA_KINDS
}


class Policies:
    """The policies of a data folder; what nobody set is as by default."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "retention.json"

    def all(self) -> list[Policy]:
        """Return the policy of every kind. raises Corrupt, NewerFormat."""
        chosen = {policy.kind: policy for policy in self._read().policies}
        return [chosen.get(kind, _DEFAULTS[kind]) for kind in DATA_KINDS]

    def of(self, kind: DataKind) -> Policy:
        """Return the policy of one kind."""
        return next(policy for policy in self.all() if policy.kind == kind)

    def set(self, policy: Policy) -> None:
        """Change the policy of one kind. raises InvalidInput when it contradicts itself."""
        _check(policy)
        file = self._read()
        file.policies = [each for each in file.policies if each.kind != policy.kind] + [policy]
        self._write(file)

    def holds(self) -> list[str]:
        """Return in words what may not be removed at all."""
        return [f"all {policy.kind} ({policy.hold})" for policy in self.all() if policy.hold]

    def cache_emptied_at(self) -> float | None:
        """Return since when the cache holds anything, at the earliest; None when that is not known."""
        return self._read().cache_emptied_at

    def note_cache_emptied(self, at: float) -> None:
        """Note that the cache was emptied, or looked at first, at an instant."""
        file = self._read()
        file.cache_emptied_at = at
        self._write(file)

    def _read(self) -> _File:
        with disk_errors(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return _File()
        try:
            file = msgspec.json.decode(data, type=_File)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{self._path} is not as it was written: {error}",
                hint="move it away and set the policies again: audobon data retention set",
            ) from error
        if file.format > _FORMAT:
            raise NewerFormat(f"{self._path} was written by a newer Audobon", hint="upgrade Audobon")
        return file

    def _write(self, file: _File) -> None:
        with disk_errors(self._path):
            make_private_folder(self._path.parent)
        write_bytes(self._path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")


def _check(policy: Policy) -> None:
    if not 0 <= policy.minimum_days <= _MOST_DAYS:
        raise InvalidInput(f"the minimum must lie between 0 and {_MOST_DAYS:.0f} days")
    if policy.days is not None and not 0 <= policy.days <= _MOST_DAYS:
        raise InvalidInput(f"days must lie between 0 and {_MOST_DAYS:.0f}")
    if policy.days is not None and policy.days < policy.minimum_days:
        raise InvalidInput(
            f"{policy.kind} must be kept for {policy.minimum_days:g} days, and {policy.days:g} is less",
            hint="give more days, or lower the minimum with --minimum",
        )
