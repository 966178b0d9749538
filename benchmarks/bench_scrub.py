"""How fast storage is scrubbed: every byte read, decrypted and hashed anew.

bench_scrub.py [FOLDER]   the folder decides which disk is read; /dev/shm leaves the disk out
"""

import random
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from audobon.keys.unlocking import open_keys
from audobon.storage.service import Storage

_ROUNDS = 3


def main() -> None:
    """Fill a storage with large and small blobs, and scrub it three times."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        root = Path(name)
        keys = open_keys(root / "data", unlock_folder=root / "keyrings", protector="unlock-file")
        with closing(Storage(root / "data", keys)) as storage:
            for _ in range(4):
                storage.put(chance.randbytes(48 << 20), kind="result")
            with storage.batch(kind="page") as batch:
                for _ in range(800):
                    batch.put(chance.randbytes(200_000))
            storage.seal_open_packs()
            for _ in range(_ROUNDS):
                began = time.process_time()
                found = storage.scrubber.scrub(is_all=True)
                busy = time.process_time() - began
                assert not found.faults
                megabytes = found.read_bytes / 1e6
                print(
                    f"{megabytes:.0f} MB in {found.seconds:.2f} s: {megabytes / found.seconds:.0f} MB/s;"
                    f" {megabytes / busy:.0f} MB for each second of a processor"
                )


if __name__ == "__main__":
    main()
