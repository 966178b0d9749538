"""What resources were used for, kept in a file of fixed size: fine for minutes, coarse for weeks."""

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple, get_args

import msgspec

from audobon.atomic import clear_leftovers, disk_errors, write_bytes
from audobon.errors import InvalidInput
from audobon.processes import FileLock
from audobon.telemetry.figures import Figure


class Ring(NamedTuple):
    """A part of the file: each slot holds so many seconds, and the newest takes the place of the oldest."""

    step_seconds: int
    slots: int

    @property
    def span_seconds(self) -> int:
        """How far back it reaches."""
        return self.step_seconds * self.slots


RINGS = (Ring(2, 450), Ring(60, 1440), Ring(900, 2880))
"""A quarter of an hour, a day, and thirty days."""

FIGURES: tuple[Figure, ...] = get_args(Figure)

# begin of the step in seconds since 1970, samples, then mean and most of each figure, then a checksum
_BODY = struct.Struct(f"<qI{2 * len(FIGURES)}f")
_CHECKSUM = struct.Struct("<I")
_SLOT_BYTES = _BODY.size + _CHECKSUM.size


class Point(msgspec.Struct, frozen=True):
    """A figure over one step.

    at       begin of the step, seconds since 1970, UTC
    samples  how many it was made of
    """

    at: int
    mean: float
    most: float
    samples: int


class _Step:
    """The step under way in one ring; figures that nobody told are not a number."""

    def __init__(self, at: int, samples: int = 0, values: tuple[float, ...] = ()) -> None:
        self.at = at
        self.samples = samples
        self.means = list(values[::2]) or [math.nan] * len(FIGURES)
        self.mosts = list(values[1::2]) or [math.nan] * len(FIGURES)
        self._counts = [0 if math.isnan(mean) else samples for mean in self.means]

    def add(self, figures: Mapping[Figure, float | None]) -> None:
        self.samples += 1
        for number, name in enumerate(FIGURES):
            value = figures.get(name)
            if value is None:
                continue
            self._counts[number] += 1
            is_first = self._counts[number] == 1
            mean = 0.0 if is_first else self.means[number]
            self.means[number] = mean + (value - mean) / self._counts[number]
            self.mosts[number] = value if is_first else max(self.mosts[number], value)

    def packed(self) -> bytes:
        values = [value for pair in zip(self.means, self.mosts, strict=True) for value in pair]
        body = _BODY.pack(self.at, self.samples, *values)
        return body + _CHECKSUM.pack(zlib.crc32(body))


class ResourceHistory:
    """The history of one data folder; one process writes, any may read meanwhile.

    Each step is a record with a checksum at a place that follows from its time, so killing the writer at any
    instant, or a power cut, costs the steps under way at most. A file of another layout is begun anew.
    raises  AlreadyRunning from `record` when another process writes, DiskFull and Denied from the disk
    """

    def __init__(self, folder: Path, *, rings: tuple[Ring, ...] = RINGS) -> None:
        self._path = folder / "telemetry" / "resources.rings"
        self._rings = rings
        self._header = f"audobon resources 1 {','.join(FIGURES)} {rings}".encode().ljust(1024)
        self._lock = FileLock(self._path.with_suffix(".lock"), purpose="recording resources")
        self._file: IO[bytes] | None = None
        self._steps: list[_Step] = []

    @property
    def file_bytes(self) -> int:
        """The size of the file, from its first record on."""
        return len(self._header) + _SLOT_BYTES * sum(ring.slots for ring in self._rings)

    def record(self, at: float, figures: Mapping[Figure, float | None]) -> None:
        """Add a sample; None is a figure that is not known."""
        file = self._file or self._open(at)
        with disk_errors(self._path):
            for number, ring in enumerate(self._rings):
                begin = _begin(at, ring)
                if self._steps[number].at != begin:
                    self._steps[number] = _Step(begin)
                step = self._steps[number]
                step.add(figures)
                file.seek(self._place(number, begin))
                file.write(step.packed())

    def history(
        self, figure: Figure, since: float, until: float, *, resolution_seconds: int | None = None
    ) -> list[Point]:
        """Return a figure over time, oldest first; steps without a sample are left out.

        resolution_seconds  of one of the rings; None takes the finest that reaches back far enough
        raises              InvalidInput when there is no such figure or resolution
        """
        if figure not in FIGURES:
            raise InvalidInput(f"no figure is named {figure!r}", hint=f"one of {', '.join(FIGURES)}")
        number, place = self._ring(since, until, resolution_seconds), 2 * FIGURES.index(figure)
        with disk_errors(self._path):
            records = list(self._records(number))
        return sorted(
            (
                Point(at, values[place], values[place + 1], samples)
                for at, samples, *values in records
                if _begin(since, self._rings[number]) <= at <= until and not math.isnan(values[place])
            ),
            key=lambda point: point.at,
        )

    def close(self) -> None:
        """Let another process write."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._lock.__exit__(None, None, None)

    def _ring(self, since: float, until: float, resolution_seconds: int | None) -> int:
        if resolution_seconds is None:
            reaching = (n for n, ring in enumerate(self._rings) if ring.span_seconds >= until - since)
            return next(reaching, len(self._rings) - 1)
        steps = [ring.step_seconds for ring in self._rings]
        if resolution_seconds not in steps:
            raise InvalidInput(
                f"there is no history in steps of {resolution_seconds} seconds",
                hint=f"one of {', '.join(map(str, steps))}",
            )
        return steps.index(resolution_seconds)

    def _open(self, at: float) -> IO[bytes]:
        self._lock.__enter__()
        try:
            with disk_errors(self._path):
                clear_leftovers(self._path)
                if not self._is_ours():
                    # All of it is written now, so that a disk that fills later does not matter.
                    write_bytes(self._path, self._header.ljust(self.file_bytes, b"\0"))
                # Unbuffered: a record is handed to the system whole, and so outlives this process.
                self._file = self._path.open("r+b", buffering=0)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        # What a writer before us began is gone on with.
        self._steps = [
            self._step_under_way(number, _begin(at, ring)) for number, ring in enumerate(self._rings)
        ]
        return self._file

    def _step_under_way(self, number: int, begin: int) -> _Step:
        for at, samples, *values in self._records(number):
            if at == begin:
                return _Step(at, samples, tuple(values))
        return _Step(begin)

    def _is_ours(self) -> bool:
        try:
            with self._path.open("rb") as file:
                header = file.read(len(self._header))
                return header == self._header and self._path.stat().st_size == self.file_bytes
        except FileNotFoundError:
            return False

    def _records(self, number: int) -> Iterator[tuple[int, ...]]:
        """Yield the whole records of a ring in no order; none when there is no file of this layout."""
        if not self._is_ours():
            return
        with self._path.open("rb") as file:
            file.seek(self._place(number, 0))
            data = file.read(self._rings[number].slots * _SLOT_BYTES)
        for offset in range(0, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES):
            body = data[offset : offset + _BODY.size]
            if data[offset + _BODY.size : offset + _SLOT_BYTES] == _CHECKSUM.pack(zlib.crc32(body)):
                record = _BODY.unpack(body)
                if record[1]:
                    yield record

    def _place(self, number: int, begin: int) -> int:
        ring = self._rings[number]
        before = sum(earlier.slots for earlier in self._rings[:number])
        return len(self._header) + _SLOT_BYTES * (before + begin // ring.step_seconds % ring.slots)


def _begin(at: float, ring: Ring) -> int:
    return int(at // ring.step_seconds) * ring.step_seconds
