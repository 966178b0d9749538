"""The storm of kills: commands struck down at random points, alone and together, and what was lost by it.

kills.py [--count 500] [--seed N] [--quick] [--breaking NAME]
Ends with status 1 when anything acknowledged is lost, half there, unsound, stuck, or left behind for good.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before numpy is imported: a process that forks has no threads.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parent))

from blows import Act, Blow, Outcome, Scale, draw_blow, strike
from commands import COMMANDS, strike_command
from deeds import DEEDS, Deed
from planted import BREAKINGS
from world import World

RESULTS = Path(__file__).parents[1] / "results" / "storage-kills.json"
_WRONG = ("lost", "half", "unsound", "stuck", "left", "unnamed")
_POINTS_PER_WORLD = 20
_QUICK = 12
# Of so many points one strikes a whole command, by strace within its own calls.
_COMMAND_EVERY = 20
_LOOK_SHARE = 0.3
_ROOM_BYTES = 2 << 30
_LANES = 2
_LEAST_FOR_LANES = 60
_MOST_SHOWN = 12


class Storm:
    """Worlds one after the other, struck until the points are used up."""

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        seed: int,
        breaking: str = "",
        only: str = "",
        commands: bool = True,
    ) -> None:
        self._folder = folder
        self._count = count
        self._draw = random.Random(seed)
        self._breaking = breaking
        self._deeds = {name: deed for name, deed in DEEDS.items() if not only or name in only.split(",")}
        self._commands = commands
        self.struck: Counter[tuple[str, str]] = Counter()
        self.missed = 0
        self.together = 0
        self.wrong: Counter[str] = Counter()
        self.words: list[str] = []
        self._scales: dict[str, Scale] = {}
        self._history: list[str] = []

    def run(self) -> dict[str, Any]:
        """Return what was struck and what was found wrong."""
        template = World(self._folder / "template")
        template.root.mkdir(parents=True)
        (outcome,) = strike([(template.make(self._draw), None)], below=template.root)
        if outcome.ended != "done":
            raise SystemExit(f"the machine could not be made: {outcome.words}")
        template.take(outcome.acks)
        self._measure(template)
        number = 0
        while self.struck.total() < self._count and len(self.words) < _MOST_SHOWN:
            number += 1
            self._history = []
            before = self.wrong.total()
            world = template.copied(self._folder / f"world-{number}")
            until = min(self._count, self.struck.total() + _POINTS_PER_WORLD)
            while self.struck.total() < until and self.wrong.total() == before:
                self._point(world)
            if self.wrong.total() == before:
                self._end(world)
            if self.wrong.total() == before:
                shutil.rmtree(world.root)
            else:
                self.words.append(f"kept for a look: {world.root}; after {'; '.join(self._history)}")
        return self._report()

    def _measure(self, template: World) -> None:
        """Do everything once undisturbed, to know how many points there are to strike."""
        world = template.copied(self._folder / "measured")
        for name, deed in self._deeds.items():
            self._prepare(world, deed)
            (outcome,) = strike([(self._act(world, deed), None)], below=world.root)
            if outcome.ended != "done":
                raise SystemExit(f"{name} fails undisturbed: {outcome.words}")
            world.take(outcome.acks)
            self._scales[name] = Scale(outcome.calls, outcome.seconds)
            self._prove(world, name, deed)
        shutil.rmtree(world.root)

    def _point(self, world: World) -> None:
        if self._commands and self._draw.randrange(_COMMAND_EVERY) == 0:
            self._strike_command(world)
            return
        names = [self._draw.choices(list(self._deeds), [deed.weight for deed in self._deeds.values()])[0]]
        if not self._deeds[names[0]].alone and self._draw.random() < 0.4:
            others = [name for name, deed in self._deeds.items() if not deed.alone]
            names += self._draw.choices(others, k=self._draw.randint(1, 2))
            # Two who restore into one folder are one of them too many.
            names = [name for at, name in enumerate(names) if name not in names[:at] or name in ("put", "gc")]
        self.together += len(names) > 1
        for name in names:
            self._prepare(world, self._deeds[name])
        blows = [draw_blow(self._draw, self._scales[name]) for name in names]
        acts = [(self._act(world, self._deeds[name]), blow) for name, blow in zip(names, blows, strict=True)]
        for name, blow in zip(names, blows, strict=True):
            self._history.append(f"{name} by {blow.kind} {blow.at or round(blow.seconds, 4)}")
        for name, blow, outcome in zip(names, blows, strike(acts, below=world.root), strict=True):
            self._note(world, name, blow, outcome)
        # A look at what is half done costs as much as one at what is done.
        if not self._deeds[names[0]].alone and (
            {"erase", "backup now"} & {*names} or self._draw.random() < _LOOK_SHARE
        ):
            self._look(world, is_settled=False)
        for name in names:
            self._again(world, name)
        self._look(world, is_settled=True)

    def _note(self, world: World, name: str, blow: Blow, outcome: Outcome) -> None:
        world.take(outcome.acks)
        self._take_faults(name, outcome)
        if outcome.is_struck:
            self.struck[name, blow.kind] += 1
        else:
            self.missed += 1
        if outcome.ended in ("unnamed", "stuck"):
            self._fault(outcome.ended, f"{name} under {blow.kind}: {outcome.words}")

    def _again(self, world: World, name: str) -> None:
        """Run the command again, which must end what was begun; then look at what it made."""
        deed = self._deeds.get(name) or DEEDS[name]
        (outcome,) = strike([(self._act(world, deed, again=True), None)], below=world.root)
        world.take(outcome.acks)
        self._take_faults(name, outcome)
        if outcome.ended != "done":
            self._fault("stuck", f"{name} run again: {outcome.ended}: {outcome.words}")
            return
        self._prove(world, name, deed)

    def _prove(self, world: World, name: str, deed: Deed) -> None:
        if (prove := deed.prove) is None:
            return
        (outcome,) = strike([(lambda acknowledge: prove(world, acknowledge), None)], below=world.root)
        world.take(outcome.acks)
        self._take_faults(name, outcome)
        if outcome.ended != "done":
            self._fault("half", f"what {name} made: {outcome.ended}: {outcome.words}")

    def _prepare(self, world: World, deed: Deed) -> None:
        if (prepare := deed.prepare) is not None:
            draw = random.Random(self._draw.random())
            (outcome,) = strike([(lambda acknowledge: prepare(world, draw), None)], below=world.root)
            if outcome.ended != "done":
                raise SystemExit(f"what a deed needs could not be made: {outcome.words}")

    def _act(self, world: World, deed: Deed, *, again: bool = False) -> Act:
        draw = random.Random(self._draw.random())
        act = deed.again if again and deed.again is not None else deed.act

        def struck(acknowledge: Any) -> None:
            if self._breaking:
                BREAKINGS[self._breaking]()
            act(world, draw, acknowledge)

        return struck

    def _strike_command(self, world: World) -> None:
        name = self._draw.choice(list(COMMANDS))
        kind, outcome = strike_command(world, name, self._draw)
        if kind is None:
            return
        self._history.append(f"audobon {name} by {kind}")
        self._note(world, COMMANDS[name].deed, Blow(kind), outcome)
        self._again(world, COMMANDS[name].deed)
        self._look(world, is_settled=True)

    def _look(self, world: World, *, is_settled: bool) -> None:
        (outcome,) = strike([(world.check(is_settled=is_settled), None)], below=world.root)
        self._take_faults("the check", outcome)
        if outcome.ended != "done":
            kind = "stuck" if outcome.ended == "stuck" else "unsound"
            self._fault(kind, f"the check: {outcome.ended}: {outcome.words}")

    def _end(self, world: World) -> None:
        """Run every command once undisturbed; after that nothing may be left that was broken off."""
        for name, deed in self._deeds.items():
            self._prepare(world, deed)
            self._again(world, name)
        self._look(world, is_settled=True)
        (outcome,) = strike([(world.check_leftovers(), None)], below=world.root)
        self._take_faults("the end", outcome)
        if outcome.ended != "done":
            self._fault("unsound", f"the end: {outcome.ended}: {outcome.words}")

    def _take_faults(self, name: str, outcome: Outcome) -> None:
        for ack in outcome.acks:
            if "fault" in ack:
                self._fault(str(ack["fault"]), f"{name}: {ack['words']}")

    def _fault(self, kind: str, words: str) -> None:
        self.wrong[kind] += 1
        self.words.append(f"{kind}: {words}")

    def _report(self) -> dict[str, Any]:
        deeds = sorted({deed for deed, _ in self.struck})
        return {
            "points": self.struck.total(),
            "not_reached": self.missed,
            "struck_together": self.together,
            "struck": {
                deed: {kind: count for (name, kind), count in sorted(self.struck.items()) if name == deed}
                for deed in deeds
            },
            "wrong": {kind: self.wrong[kind] for kind in _WRONG},
            "words": self.words,
        }


def main(
    count: int, seed: int, *, breaking: str = "", only: str = "", commands: bool = True
) -> dict[str, Any]:
    """Strike at so many points, and return the report; `wrong` in it counts what must be zero."""
    folder, begun = Path(tempfile.mkdtemp(prefix="audobon-storm-", dir=_place())), time.monotonic()
    lanes = _LANES if count >= _LEAST_FOR_LANES else 1

    def lane(number: int) -> dict[str, Any]:
        storm = Storm(
            folder / str(number),
            count=count // lanes + (number < count % lanes),
            seed=seed + number,
            breaking=breaking,
            only=only,
            commands=commands,
        )
        return storm.run()

    report = {"seed": seed, **_merged(_in_forks(lane, lanes)), "seconds": round(time.monotonic() - begun, 1)}
    if breaking or not any(report["wrong"].values()):
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _place() -> str | None:
    """Return a folder in memory when there is room: who is killed loses nothing that the disk has not yet."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES
    return str(memory) if has_room else None


def _in_forks(lane: Callable[[int], dict[str, Any]], lanes: int) -> list[dict[str, Any]]:
    if lanes == 1:
        return [lane(0)]
    pipes = []
    for number in range(lanes):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(lane(number)).encode())
                pipe.flush()
                os._exit(0)
        os.close(writing)
        pipes.append(reading)
    reports = []
    for reading in pipes:
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        os.wait()
        # A lane that died has said why.
        reports.append(json.loads(data) if data else sys.exit("a part of the storm died"))
    return reports


def _merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    struck: dict[str, Counter[str]] = {}
    for report in reports:
        for deed, kinds in report["struck"].items():
            struck.setdefault(deed, Counter()).update(kinds)
    return {
        **{
            name: sum(report[name] for report in reports)
            for name in ("points", "not_reached", "struck_together")
        },
        "struck": {deed: dict(sorted(kinds.items())) for deed, kinds in sorted(struck.items())},
        "wrong": {kind: sum(report["wrong"][kind] for report in reports) for kind in _WRONG},
        "words": [words for report in reports for words in report["words"]],
    }


def _print(report: dict[str, Any]) -> None:
    print(f"seed {report['seed']}, {report['points']} points in {report['seconds']} s,", end=" ")
    print(f"{report['not_reached']} not reached, {report['struck_together']} times several at once")
    for deed, kinds in report["struck"].items():
        told = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        print(f"  {deed:<20} {sum(kinds.values()):>4}  {told}")
    for kind, count in report["wrong"].items():
        print(f"  {kind:<20} {count:>4}")
    for words in report["words"]:
        print(f"  {words}")


def _run() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", default="", help=f"some of: {','.join(DEEDS)}")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} points, and no whole commands")
    parser.add_argument("--breaking", choices=list(BREAKINGS), default="", help="plant a fault")
    asked = parser.parse_args()
    count = _QUICK if asked.quick else asked.count
    report = main(
        count, asked.seed, breaking=asked.breaking, only=asked.only, commands=not (asked.quick or asked.only)
    )
    _print(report)
    is_wrong = any(report["wrong"].values())
    print("nothing was lost, half done, stuck or left behind" if not is_wrong else "FAULTS")
    if not asked.quick and not asked.only and not asked.breaking:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(is_wrong)


if __name__ == "__main__":
    raise SystemExit(_run())
