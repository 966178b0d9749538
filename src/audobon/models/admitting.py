"""Takes in a user's ONNX file: checks, tries and measures it in processes with limits."""

import hashlib
import math
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from audobon.atomic import disk_errors
from audobon.errors import AudobonError, Denied, DiskFull, Exhausted, InvalidInput, UnsafeModel, by_code
from audobon.models.admit_messages import UNMEASURED, UNPROVED, Answer, Ask, Limits
from audobon.models.brought_card import BroughtCard
from audobon.models.card import Card, Footprint, Memory
from audobon.models.foreign_files import HEAD_BYTES, foreign_kind
from audobon.models.own_cards import graph_path
from audobon.pages.tiles import PictureShape
from audobon.processes import available_bytes, usable_threads

Tell = Callable[[str], None]

_PIECE_BYTES = 1 << 20
# Sides that placement may choose from, as for the models that ship.
_TILES_PX = (48, 64, 96, 128, 192, 256)
# Addresses taken by the interpreter, the libraries and their threads; measured at a third of this.
_BASE_BYTES = 3 << 30
_READING_COPIES = 4
_MEMORY_SHARE = 0.75
# A model of 67 MB and 420 processor seconds per megapixel was added within them on two busy cores.
_CHECK_SECONDS, _TRY_SECONDS = 60.0, 300.0
_LEAST_SECONDS_PER_MEGAPIXEL = 0.01


class Admitted(msgspec.Struct, frozen=True):
    """A model that was found sound.

    notes  what its user should know of what was found, for people
    """

    card: Card
    notes: tuple[str, ...]


def admit(
    file: Path,
    brought: BroughtCard,
    folder: Path,
    *,
    most_bytes: int,
    tell: Tell,
    seconds: float = _TRY_SECONDS,
) -> Admitted:
    """Return the whole card of a user's model, whose file is copied into `folder` under the card's name.

    Only the copy is looked at, so that nobody can change it meanwhile. What was prepared of it on the way
    lies in `folder / "prepared"`.
    most_bytes  largest file taken
    seconds     longest that one trial may take
    raises      UnsafeModel, NotFound, DiskFull, MemoryTooSmall and the like; then nothing in `folder` counts
    """
    tell(f"reading {file.name}")
    digest, size_bytes, temporary = _copy(file, folder, most_bytes)
    shape = PictureShape(
        scale=brought.scale,
        colour=brought.colour,
        padding_px=brought.padding_px,
        edges=brought.edges,
        multiple_px=brought.multiple_px,
        tile_exact=brought.tile_exact,
        tile_px=brought.tile_px,
        tiles_px=(brought.tile_px,),
    )
    card = Card(
        name=brought.name,
        title=brought.title,
        task=brought.task,
        description=brought.description,
        origin=brought.origin,
        licence=brought.licence,
        attribution=brought.attribution,
        graph_sha256=digest,
        graph_bytes=size_bytes,
        memory=UNMEASURED,
        golden=UNPROVED,
        picture=shape,
    )
    target = graph_path(folder, card)
    with disk_errors(target):
        target.parent.mkdir()
        temporary.rename(target)
    copied = msgspec.structs.replace(card, file=str(target))
    trials = _Trials(file, copied, folder / "prepared", seconds)
    tell("checking that it is plain, sound ONNX")
    trials.ask("check")
    tell("optimising it for this machine")
    trials.ask("prepare")
    tell("trying it: shapes, numbers, whether tiles leave a trace")
    proof = trials.ask("prove")
    assert proof.golden is not None
    shape = _with_tiles(shape, is_exact=proof.tile_exact)
    shape, memory = _weighed(trials, shape, tell)
    notes = []
    if brought.tile_exact and not proof.tile_exact:
        notes.append(
            f"its pixels depend on how a page is cut, so tiles are always {shape.tile_px} px; padding_px of"
            " at least what it looks at around a pixel may change that"
        )
    if shape.tile_px != brought.tile_px:
        notes.append(f"larger tiles than {shape.tile_px} px took more memory or time than a trial may take")
    done = msgspec.structs.replace(card, picture=shape, memory=memory, golden=proof.golden)
    return Admitted(done, tuple(notes))


def check_file(file: Path) -> None:
    """Raise NotFound when there is no such file, and UnsafeModel when it is plainly no ONNX model."""
    with disk_errors(file), _open_regular(file) as source:
        _refuse_foreign(file, source.read(HEAD_BYTES))


def _copy(file: Path, folder: Path, most_bytes: int) -> tuple[str, int, Path]:
    """Copy a file into a folder; return the digest and size of the copy, and where it lies."""
    temporary = folder / ".reading"
    size_bytes = 0
    hashed = hashlib.sha256()
    with disk_errors(file), _open_regular(file) as source:
        head = source.read(HEAD_BYTES)
        _refuse_foreign(file, head)
        source.seek(0)
        with disk_errors(temporary), temporary.open("xb") as target:
            while piece := source.read(_PIECE_BYTES):
                size_bytes += len(piece)
                if size_bytes > most_bytes:
                    raise UnsafeModel(
                        f"{file} is larger than the {most_bytes // 10**6} MB a model may have",
                        hint="models.max_megabytes in the settings is the bound",
                    )
                hashed.update(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    return hashed.hexdigest(), size_bytes, temporary


def _open_regular(file: Path) -> IO[bytes]:
    # Without O_NONBLOCK a named pipe would be waited for, for ever.
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafeModel(f"{file} is no file")
    return os.fdopen(descriptor, "rb")


def _refuse_foreign(file: Path, head: bytes) -> None:
    if not head:
        raise UnsafeModel(f"{file} is empty")
    if (kind := foreign_kind(head)) is not None:
        raise UnsafeModel(
            f"{file} is {kind.what}: {kind.why}",
            hint="only ONNX is taken; docs/guides/your-own-models.md tells how to export it",
        )


def _with_tiles(shape: PictureShape, *, is_exact: bool) -> PictureShape:
    sides = {side for side in _TILES_PX if side < shape.tile_px} if is_exact else set()
    return msgspec.structs.replace(shape, tile_exact=is_exact, tiles_px=(*sorted(sides), shape.tile_px))


def _weighed(trials: "_Trials", shape: PictureShape, tell: Tell) -> tuple[PictureShape, Memory]:
    """Measure both ways to run with the smallest and the largest tiles; give up those that are too much."""
    while True:
        sides = sorted({shape.tiles_px[0], shape.tile_px})
        try:
            # The largest first: what is given up was not measured in vain.
            ways = [_footprint(trials, shape, sides[::-1], lean=lean, tell=tell) for lean in (False, True)]
        except Exhausted as error:
            smaller = (
                [side for side in shape.tiles_px if side <= shape.tile_px // 2] if shape.tile_exact else []
            )
            if not smaller:
                raise UnsafeModel(
                    f"tiles of {shape.tile_px} px are too much for this machine: {error.message}",
                    hint="a smaller tile_px in its card" if shape.tile_px > _TILES_PX[0] else None,
                ) from error
            shape = msgspec.structs.replace(shape, tile_px=smaller[-1], tiles_px=tuple(smaller))
            continue
        return shape, Memory(fast=ways[0], lean=ways[1])


def _footprint(
    trials: "_Trials", shape: PictureShape, sides: list[int], *, lean: bool, tell: Tell
) -> Footprint:
    peaks, costs = {}, []
    for side in sides:
        tell(f"measuring memory and time: tiles of {side} px, {'small memory' if lean else 'full speed'}")
        answer = trials.ask("weigh", side=side, lean=lean)
        window = side + 2 * shape.padding_px
        window = math.ceil(window / shape.multiple_px) * shape.multiple_px
        peaks[window**2] = answer.peak_bytes
        costs.append(answer.seconds / ((window - 2 * shape.padding_px) ** 2 / 1e6))
    return Footprint(
        peak_bytes_by_pixels=_rising(peaks),
        seconds_per_megapixel=max(_LEAST_SECONDS_PER_MEGAPIXEL, round(min(costs), 2)),
    )


def _rising(peaks: dict[int, int]) -> dict[int, int]:
    """Return peaks by pixels, none below that of fewer pixels: of tiny models only the noise differs."""
    risen: dict[int, int] = {}
    for pixels, peak in sorted(peaks.items()):
        risen[pixels] = max(peak, *risen.values(), 1)
    return risen


class _Trials:
    """Asks processes with limits, one for each thing."""

    def __init__(self, file: Path, card: Card, prepared: Path, seconds: float) -> None:
        self._file = file
        self._card = card
        self._prepared = prepared
        self._seconds = seconds
        self._threads = usable_threads()

    def ask(self, act: str, *, side: int = 0, lean: bool = False) -> Answer:
        """Return the answer; raises the error it is, UnsafeModel when the process did not live to give it."""
        is_reading = act == "check"
        seconds = min(self._seconds, _CHECK_SECONDS) if is_reading else self._seconds
        room_bytes = _READING_COPIES * self._card.graph_bytes
        if not is_reading:
            room_bytes = max(room_bytes, int(available_bytes() * _MEMORY_SHARE))
        limits = Limits(_BASE_BYTES + room_bytes, seconds, (64 << 20) + 2 * self._card.graph_bytes)
        ask = Ask(
            act=msgspec.convert(act, Ask.__annotations__["act"]),
            card=self._card,
            models_folder=str(self._prepared),
            threads=self._threads,
            limits=limits,
            side=side,
            lean=lean,
        )
        answer = self._have_answered(ask)
        if answer.code is None:
            return answer
        kind = by_code(answer.code)
        # Weighing with smaller tiles may need less; nothing else can be done with less.
        is_matter_of_size = act == "weigh" and issubclass(kind, Exhausted)
        if not is_matter_of_size and not issubclass(kind, InvalidInput | Denied | DiskFull):
            # What the file brought about is its fault, whatever room it showed in.
            kind = UnsafeModel
        raise kind(f"{self._file}: {answer.message}", hint=answer.hint)

    def _have_answered(self, ask: Ask) -> Answer:
        # -P: the folder we are started in may hold anything, modules included.
        command = [sys.executable, "-P", "-m", "audobon.models.admit_process"]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True
            )
            try:
                assert process.stdin is not None
                process.stdin.write(msgspec.json.encode(ask) + b"\n")
                process.stdin.flush()
                status = process.wait(ask.limits.seconds)
            except BrokenPipeError:
                status = process.wait()
            except subprocess.TimeoutExpired:
                return Answer(
                    code=Exhausted.code,
                    message=f"it took longer than {ask.limits.seconds:g} seconds",
                    hint="tile_exact = false in its card saves most of the trial"
                    if ask.act == "prove"
                    else None,
                )
            finally:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
            out.seek(0)
            try:
                return msgspec.json.decode(out.read(), type=Answer)
            except msgspec.DecodeError:
                raise self._died(status, ask) from None

    def _died(self, status: int, ask: Ask) -> AudobonError:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        what = "reading" if ask.act == "check" else "trying"
        return UnsafeModel(
            f"{self._file}: the process {what} it was brought down ({how});"
            f" it had {ask.limits.memory_bytes >> 20} MB of addresses and {ask.limits.seconds:g} seconds"
        )
