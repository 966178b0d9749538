"""What does rotating keys take with 100,000 data keys, and what do readers feel of it?

bench_keys.py [--quick]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from audobon.keys.service import PERSONAL, Keys
from audobon.keys.unlocking import open_keys
from measuring import save, table, verdict

DATA_KEYS = 100_000
SUBJECTS = 50
GOAL_SECONDS = 30.0
# A reader opens a data key it does not hold, then rests as long.
READER = """
import json, sys, time
from pathlib import Path
from audobon.keys.unlocking import open_keys
folder, unlock_folder, file = map(Path, sys.argv[1:])
held = [json.loads(line) for line in file.read_text().splitlines()]
keys = open_keys(folder, unlock_folder=unlock_folder)
taken = []
print("ready", flush=True)
number = 0
while not Path(str(file) + ".over").exists():
    id, subject, version, wrapped, key = held[number % len(held)]
    keys._ring.data_keys.clear()
    begun = time.perf_counter()
    opened = keys.open_data_key(bytes.fromhex(id), subject, version, bytes.fromhex(wrapped))
    taken.append(time.perf_counter() - begun)
    assert opened.hex() == key
    number += 1
    time.sleep(0.001)
print(json.dumps(taken))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the keys; judges and saves nothing")
    is_quick = parser.parse_args().quick
    count = DATA_KEYS // 10 if is_quick else DATA_KEYS
    with tempfile.TemporaryDirectory(prefix="audobon-bench-") as scratch:
        figures = measure(Path(scratch), count)
    rows = [
        ["rotate", f"{figures['rotate_seconds']:.2f} s", "", ""],
        [
            f"rewrap {count:,}",
            f"{figures['rewrap_seconds']:.2f} s",
            f"<= {GOAL_SECONDS:g} s",
            verdict(figures["rewrap_seconds"] <= GOAL_SECONDS),
        ],
        ["rewrap again, nothing to do", f"{figures['again_seconds']:.2f} s", "", ""],
        ["reader alone, median / p99", in_milliseconds(figures["reader_alone"]), "", ""],
        ["reader beside, median / p99", in_milliseconds(figures["reader_beside"]), "", ""],
        ["reader beside, longest", f"{figures['reader_beside'][2]:.1f} ms", "", ""],
        ["seal 100 bytes", f"{figures['seal_microseconds']:.1f} µs", "", ""],
        ["open a data key, not held", f"{figures['open_microseconds']:.1f} µs", "", ""],
        ["keystore", f"{figures['keystore_bytes'] / 1e6:.1f} MB", "", ""],
    ]
    table(f"Keys: {count:,} data keys of {SUBJECTS} subjects", ["what", "took", "goal", ""], rows)
    if not is_quick:
        save("keys", figures)


def measure(scratch: Path, count: int) -> dict[str, Any]:
    folder, unlock_folder = scratch / "data", scratch / "keyrings"
    folder.mkdir()
    keys = open_keys(folder, unlock_folder=unlock_folder)
    subjects = [keys.subject(f"project {number}") for number in range(SUBJECTS)]
    held = [keys.new_data_key(subjects[number % SUBJECTS]) for number in range(count)]
    beside = [(made.id, made.subject, made.subject_version, made.wrapped) for made in held]
    sample = scratch / "sample"
    sample.write_text(
        "\n".join(
            f'["{m.id.hex()}", "{m.subject}", {m.subject_version}, "{m.wrapped.hex()}", "{m.key.hex()}"]'
            for m in held[:: max(1, count // 1000)]
        )
    )
    alone = read_for(folder, unlock_folder, sample, lambda: time.sleep(3))
    rotate_seconds = seconds(keys.rotate)
    taken: list[float] = []
    reader_beside = read_for(
        folder, unlock_folder, sample, lambda: taken.append(seconds(lambda: _rewrap(keys, beside)))
    )
    again_seconds = seconds(lambda: _rewrap(keys, beside))
    # The answer before its time: every key, by a process that holds nothing.
    fresh = open_keys(folder, unlock_folder=unlock_folder)
    assert all(fresh.open_data_key(*row) == made.key for row, made in zip(beside, held, strict=True))
    figures: dict[str, Any] = {
        "data_keys": count,
        "subjects": SUBJECTS,
        "rotate_seconds": rotate_seconds,
        "rewrap_seconds": taken[0],
        "again_seconds": again_seconds,
        "reader_alone": percentiles(alone),
        "reader_beside": percentiles(reader_beside),
        "seal_microseconds": _each(lambda: keys.seal(PERSONAL, bytes(100), context=b"c"), 20_000),
        "open_microseconds": seconds(lambda: _open_anew(fresh, beside[:20_000])) / min(count, 20_000) * 1e6,
        "keystore_bytes": (folder / "keys" / "keystore.db").stat().st_size,
    }
    keys.close()
    fresh.close()
    return figures


def read_for(folder: Path, unlock_folder: Path, sample: Path, act: Callable[[], object]) -> list[float]:
    """Return what each read of a second process took while something was done here."""
    over = Path(f"{sample}.over")
    over.unlink(missing_ok=True)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, folder, unlock_folder, sample],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    act()
    over.touch()
    out, _ = reader.communicate()
    assert reader.returncode == 0
    taken: list[float] = json.loads(out)
    return taken


def _rewrap(keys: Keys, beside: list[tuple[bytes, str, int, bytes]]) -> None:
    found = keys.rewrap(_one_by_one(beside))
    assert found.rewrapped + found.current == len(beside), found


def _one_by_one(beside: list[tuple[bytes, str, int, bytes]]) -> Iterator[tuple[bytes, str, int, bytes]]:
    yield from beside


def _open_anew(keys: Keys, beside: list[tuple[bytes, str, int, bytes]]) -> None:
    keys._ring.data_keys.clear()
    for row in beside:
        keys.open_data_key(*row)


def seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _each(act: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - begun) / times * 1e6


def percentiles(taken: list[float]) -> list[float]:
    ordered = sorted(taken)
    return [
        1e3 * each for each in (statistics.median(ordered), ordered[int(0.99 * len(ordered))], ordered[-1])
    ]


def in_milliseconds(found: list[float]) -> str:
    return f"{found[0]:.2f} / {found[1]:.2f} ms"


if __name__ == "__main__":
    main()
