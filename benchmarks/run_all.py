"""Runs every benchmark, or those named: run_all.py [overhead] [peers] [memory] and so on."""

import subprocess
import sys
from pathlib import Path

ALL = (
    "overhead",
    "peers",
    "memory",
    "session_load",
    "residency",
    "quality",
    "draft",
    "queue",
    "dispatch",
    "engine",
    "resources",
    "prefetch",
    "result_cache",
    "storage",
    "scrub",
    "backup",
    "erasure",
    "keys",
    "database",
    "postgres_recovery",
    "database_peers",
    "scale",
)


def main() -> None:
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            raise SystemExit(f"no benchmark is named {name}; there are {', '.join(ALL)}")
        script = Path(__file__).with_name(f"bench_{name}.py")
        subprocess.run([sys.executable, script], check=True)


if __name__ == "__main__":
    main()
