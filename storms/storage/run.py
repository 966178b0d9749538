"""The storm over what is stored: damages by the thousand, kills, and a report of what they cost.

run.py [--damages 10000] [--kills 500] [--seed N] [--only corruption|kills] [--quick] [--processes 2]
       [--blind PART] [--of keystore.db]
Ends with status 1 when a damage was not noticed, was not mended though a second copy was there, or anything
acknowledged was lost.
"""

import argparse
import importlib.util
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from corruption import CorruptionStorm

RESULTS = Path(__file__).parents[1] / "results" / "storage.json"
_QUICK_DAMAGES = 30
_TEETH_DAMAGES = 120
_PARTS = ("keys", "storage", "database", "places")


def main() -> int:
    """Run the parts asked for, print what came of them, and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", choices=["corruption", "kills"])
    parser.add_argument("--quick", action="store_true", help="a trial of half a minute; keeps no report")
    parser.add_argument("--blind", choices=_PARTS, help="break this checker on purpose")
    parser.add_argument("--of", default="", help="damage only files whose path holds this; keeps no report")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    report: dict[str, Any] = {"seed": asked.seed}
    if asked.only in (None, "corruption"):
        damages = _QUICK_DAMAGES if asked.quick else asked.damages
        report["corruption"] = corrupt(
            damages,
            asked.seed,
            processes=1 if asked.quick else asked.processes,
            breaking=asked.blind,
            of=asked.of,
        )
        _print("corruption", report["corruption"])
    if asked.only in (None, "kills") and not asked.quick and importlib.util.find_spec("kills"):
        kills = importlib.import_module("kills")
        report["kills"] = kills.run(kills=asked.kills, seed=asked.seed)
        _print("kills", report["kills"])
    if asked.only is None and not asked.quick and not asked.of:
        report["noticed_when_broken"] = noticed = {part: blinded(part, asked.seed) for part in _PARTS}
        for part, count in noticed.items():
            print(f"\nthe checker of {part} broken on purpose: {count} faults noticed")
        if not all(noticed.values()):
            print("\nthe storm does not notice a broken checker: its findings mean nothing")
            return 1
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    faults = sum(
        sum(found["wrong"].values())
        for found in report.values()
        if isinstance(found, dict) and "wrong" in found
    )
    print(f"\n{'nothing went unnoticed, unmended or lost' if faults == 0 else f'{faults} FAULTS'}")
    return int(faults > 0)


def corrupt(
    damages: int, seed: int, *, processes: int, breaking: str | None = None, of: str = ""
) -> dict[str, Any]:
    """Return what came of so many damages, shared among processes."""
    began = time.monotonic()
    shares = [damages // processes + (number < damages % processes) for number in range(processes)]
    total: dict[str, Any] = {}
    with ProcessPoolExecutor(processes) as pool:
        for found in pool.map(
            _storm,
            shares,
            [seed + number for number in range(processes)],
            [breaking] * processes,
            [of] * processes,
        ):
            for label, value in found.items():
                if isinstance(value, dict):
                    total[label] = dict(Counter(total.get(label, {})) + Counter(value)) or value
                elif isinstance(value, list):
                    total[label] = total.get(label, []) + value
                else:
                    total[label] = total.get(label, 0) + value
    for label in ("not noticed", "a second copy did not mend it", "sound, and blamed"):
        total["wrong"].setdefault(label, 0)
    for words in total.pop("told"):
        print(words)
    return total | {"seconds": round(time.monotonic() - began, 1)}


def blinded(part: str, seed: int) -> int:
    """Return how many faults a small storm notices when a checker finds nothing."""
    return int(_storm(_TEETH_DAMAGES, seed, part)["wrong"]["not noticed"])


def _storm(damages: int, seed: int, breaking: Any, of: str = "") -> dict[str, Any]:
    # In memory where there is such a folder: what is tried here is noticing, not waiting for disks.
    fast = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="audobon-storm-", dir=fast if fast.is_dir() else None)
    try:
        root = Path(folder) / "desk"
        root.mkdir()
        storm = CorruptionStorm(root, damages=damages, seed=seed, breaking=breaking, of=of)
        return storm.run() | {"told": storm.told}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}")
    for label, value in found.items():
        if isinstance(value, dict):
            print(f"  {label.replace('_', ' ')}")
            for key, count in value.items():
                print(f"    {key:<44} {count}")
        else:
            print(f"  {label.replace('_', ' '):<46} {value}")


if __name__ == "__main__":
    raise SystemExit(main())
