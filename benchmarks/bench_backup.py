"""How fast is an encrypted, durable copy of a mixed gibibyte, beside `cp`, restic, borg and rclone?

    python benchmarks/bench_backup.py [--rounds N] [--quick] [--only NAME] [--folder FOLDER]

See the section in README.md. Checked before any time is told: every file that was restored equals its source.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3

from backup.contenders import PEERS, Contender, RawCopy
from backup.ours import Ours
from backup.sources import SMALL_FILES, mixed
from measuring import interleave, save, table, verdict

LEAST_OF_RAW = 0.75
LEAST_OF_RESTIC = 1.8
MOST_AGAIN_SECONDS = 1.5
LEAST_CHECK_MBS = 500.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of it; saves nothing")
    parser.add_argument("--only", help="one contender alone, by its name, such as audobon; saves nothing")
    parser.add_argument("--folder", type=Path, help="where to work; the disk is part of what is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        source = folder / "source"
        if options.quick:
            total = mixed(source, large_bytes=24 << 20, small_files=SMALL_FILES // 10)
        else:
            total = mixed(source)
        os.sync()
        rounds = Rounds(folder, source, only=options.only)
        found = rounds.run(1 if options.quick else options.rounds)
    figures = {"bytes": total, "versions": rounds.versions, "left_out": rounds.left_out, **found}
    tell(found, total)
    if not options.quick and options.only is None:
        save("backup", figures)


class Rounds:
    """Every contender in turns, the order turned round each time, with a raw copy before and after each."""

    def __init__(self, folder: Path, source: Path, *, only: str | None = None) -> None:
        self.folder = folder
        self.source = source
        self._only = only
        self.versions: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self._raw = RawCopy(folder)
        self._digests = digests(source)
        self._found: dict[str, dict[str, list[float]]] = {}

    def run(self, rounds: int) -> dict[str, Any]:
        """Return what each took, in seconds, by name and measure."""
        deeds: dict[str, Callable[[], None]] = {}
        for kind in (Ours, *PEERS):
            contender = kind(self.folder)
            if self._only not in (None, contender.name):
                continue
            if (version := contender.version()) is None:
                self.left_out[contender.name] = "it is not installed"
                continue
            self.versions[contender.name] = version
            deeds[contender.name] = lambda contender=contender: self._one(contender)  # type: ignore[misc]
        load = [round(os.getloadavg()[0], 1)]
        for number in range(rounds):
            # One round at a time, so that a run that is broken off has told what it found.
            names = list(deeds) if number % 2 == 0 else list(reversed(deeds))
            interleave(1, {name: deeds[name] for name in names})
            load.append(round(os.getloadavg()[0], 1))
            print(f"round {number + 1} of {rounds}, load {load[-1]}: {self._found}", flush=True)
        return {"seconds": self._found, "load": load}

    def _one(self, contender: Contender) -> None:
        contender.begin()
        before = self._raw_copy()
        first = self._timed(contender.name, "keep", lambda: contender.keep(self.source))
        if isinstance(contender, Ours):
            contender.begin_place()
            backed_up = self._timed(contender.name, "back up", contender.back_up)
        raw = statistics.mean((before, self._raw_copy()))
        self._note(contender.name, "raw", raw)
        self._note(contender.name, "raw / keep", raw / first)
        if isinstance(contender, Ours):
            self._note(contender.name, "raw / keep and back up", raw / (first + backed_up))
        self._timed(contender.name, "keep again", lambda: contender.keep(self.source))
        if isinstance(contender, Ours):
            self._timed(contender.name, "back up again", contender.back_up)
        self._restored(contender, "restore", contender.restore)
        if isinstance(contender, Ours):
            self._restored(contender, "restore from the place", lambda _, into: contender.restore_place(into))
        begun = time.perf_counter()
        is_whole = contender.check()
        if is_whole is not None:
            self._note(contender.name, "check", time.perf_counter() - begun)
            if not is_whole:
                raise SystemExit(f"{contender.name} finds its own copy damaged")
        self._note(contender.name, "size", contender.size_bytes())
        shutil.rmtree(contender.copy, ignore_errors=True)

    def _restored(self, contender: Contender, measure: str, restore: Callable[[Path, Path], None]) -> None:
        target = self.folder / "restored"
        self._timed(contender.name, measure, lambda: restore(self.source, target))
        # restic and borg restore under the whole path of the source.
        found = {
            name.removeprefix(f"{str(self.source).lstrip('/')}/"): digest
            for name, digest in digests(target).items()
        }
        if found != self._digests:
            raise SystemExit(f"{contender.name} did not restore what it was given")
        shutil.rmtree(target)

    def _raw_copy(self) -> float:
        self._raw.begin()
        os.sync()
        begun = time.perf_counter()
        self._raw.keep(self.source)
        seconds = time.perf_counter() - begun
        self._raw.begin()
        return seconds

    def _timed(self, name: str, measure: str, deed: Callable[[], None]) -> float:
        os.sync()
        begun = time.perf_counter()
        deed()
        seconds = time.perf_counter() - begun
        self._note(name, measure, seconds)
        return seconds

    def _note(self, name: str, measure: str, value: float) -> None:
        self._found.setdefault(name, {}).setdefault(measure, []).append(round(value, 3))


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): blake3.blake3(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def tell(found: dict[str, Any], total: int) -> None:
    """Print what was found, and judge it."""
    medians = {
        name: {measure: statistics.median(values) for measure, values in measures.items()}
        for name, measures in found["seconds"].items()
    }
    measures = list(dict.fromkeys(measure for each in medians.values() for measure in each))
    rows = [
        [measure, *(f"{each[measure]:,.2f}" if measure in each else "" for each in medians.values())]
        for measure in measures
    ]
    table(f"{total / 1e6:.0f} MB, load {found['load']}: medians", ["", *medians], rows)
    if (ours := medians.get("audobon")) is None:
        return
    goals = [
        ("raw / keep", ours["raw / keep"], f">= {LEAST_OF_RAW}", ours["raw / keep"] >= LEAST_OF_RAW),
        (
            "unchanged, 10,000 files, kept and backed up again",
            ours["keep again"] + ours["back up again"],
            f"<= {MOST_AGAIN_SECONDS} s",
            ours["keep again"] + ours["back up again"] <= MOST_AGAIN_SECONDS,
        ),
        (
            "check",
            ours["size"] / ours["check"] / 1e6,
            f">= {LEAST_CHECK_MBS} MB/s",
            ours["size"] / ours["check"] / 1e6 >= LEAST_CHECK_MBS,
        ),
    ]
    if "restic" in medians:
        share = ours["raw / keep"] / medians["restic"]["raw / keep"]
        goals.append(("against restic", share, f">= {LEAST_OF_RESTIC}", share >= LEAST_OF_RESTIC))
    table(
        "goals",
        ["what", "found", "must be", ""],
        [[what, f"{value:.2f}", must, verdict(is_met)] for what, value, must, is_met in goals],
    )


if __name__ == "__main__":
    main()
