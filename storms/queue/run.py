"""The storm: kills by the hundred, power cuts in effigy, and a report of what they cost.

run.py [--kills 500] [--cuts 300] [--tasks 10000] [--seed N] [--only light|product|power|cloud [--keep]]
Ends with status 1 when anything acknowledged was lost, published twice, or is stuck.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloud_storm import CloudStorm
from light_storm import LightStorm
from power_cut import cut_power
from product_storm import ProductStorm

RESULTS = Path(__file__).parents[1] / "results" / "queue.json"
# Of all kills, so many strike the real command, which takes longer to come back than light workers.
_PRODUCT_SHARE = 0.2
_POWER_TASKS = 400


def main() -> int:
    """Run the parts asked for, print what came of them, and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--tasks", type=int, default=10_000, help="that go through the cloud")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", choices=["light", "product", "power", "cloud"])
    parser.add_argument("--keep", action="store_true", help="with --only: keep the report of that part too")
    asked = parser.parse_args()
    product_kills = round(asked.kills * _PRODUCT_SHARE)
    parts: dict[str, Callable[[Path], dict[str, Any] | None]] = {
        "light": lambda folder: LightStorm(folder, kills=asked.kills - product_kills, seed=asked.seed).run(),
        "product": lambda folder: ProductStorm(folder, kills=product_kills, seed=asked.seed).run(),
        "power": lambda folder: cut_power(folder, cuts=asked.cuts, tasks=_POWER_TASKS, seed=asked.seed),
        "cloud": lambda folder: CloudStorm(folder, tasks=asked.tasks, seed=asked.seed).run(),
    }
    print(f"seed {asked.seed}")
    report: dict[str, Any] = {"seed": asked.seed}
    for name, part in parts.items():
        if asked.only not in (None, name):
            continue
        folder, began = Path(tempfile.mkdtemp(prefix="audobon-storm-")), time.monotonic()
        found = part(folder)
        if found is None:
            print(f"\n{name}: not tried, strace is not installed (Debian: apt install strace)")
            continue
        report[name] = found | {"seconds": round(time.monotonic() - began, 1)}
        _print(name, report[name])
        if not _faults(found):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"  kept for a look: {folder}")
    if asked.keep and asked.only is not None:
        _save(report, RESULTS.with_name(f"queue-{asked.only}.json"))
    if asked.only is None:
        report["noticed_when_broken"] = noticed = _teeth(asked.seed)
        for breaking, count in noticed.items():
            print(f"\nbroken on purpose, {breaking}: {count} faults noticed")
        if not all(noticed.values()):
            print("\nthe storm does not notice a broken queue: its findings mean nothing")
            return 1
        _save(report, RESULTS)
    faults = sum(_faults(found) for found in report.values() if isinstance(found, dict) and "wrong" in found)
    print(f"\n{'nothing was lost, published twice or stuck' if faults == 0 else f'{faults} FAULTS'}")
    return int(faults > 0)


def _save(report: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _teeth(seed: int) -> dict[str, int]:
    """Return how many faults small storms notice in queues that are broken on purpose."""
    noticed = {}
    with tempfile.TemporaryDirectory(prefix="audobon-storm-") as folder:
        found = LightStorm(Path(folder), kills=40, seed=seed, breaking="unfenced").run()
        noticed["late finishers publish"] = found["wrong"]["published twice"]
    with tempfile.TemporaryDirectory(prefix="audobon-storm-") as folder:
        cut = cut_power(Path(folder), cuts=60, tasks=100, seed=seed, breaking="unsynced")
        if cut is not None:
            noticed["acknowledged before the disk"] = _faults(cut)
    with tempfile.TemporaryDirectory(prefix="audobon-storm-") as folder:
        found = CloudStorm(Path(folder), tasks=500, seed=seed, breaking="unfenced").run()
        noticed["every delivery is taken up"] = _faults(found)
    return noticed


def _faults(found: dict[str, Any]) -> int:
    return sum(found["wrong"].values())


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}")
    for label, value in found.items():
        if label != "wrong":
            words = (
                ", ".join(f"{key} {count}" for key, count in value.items())
                if isinstance(value, dict)
                else value
            )
            print(f"  {label.replace('_', ' '):<28} {words}")
    for label, count in found["wrong"].items():
        print(f"  {label:<44} {count}")


if __name__ == "__main__":
    raise SystemExit(main())
