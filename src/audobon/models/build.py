"""Prepares one model in a process of its own: `python -m audobon.models.build NAME FOLDER [KIND]`.

Conversion needs memory and libraries the work itself does not; both end with the process.
"""

import sys
from pathlib import Path

import msgspec

from audobon.atomic import disk_error
from audobon.errors import AudobonError
from audobon.models.catalogue import card_named, use_own_models
from audobon.models.devices import DeviceKind
from audobon.models.store import prepare


def main() -> int:
    """Prepare the named model; on failure print the error as JSON and return its exit status."""
    name, folder, *further = sys.argv[1:]
    kind: DeviceKind = "cuda" if further == ["cuda"] else "cpu"
    use_own_models(Path(folder))
    try:
        prepare(card_named(name), Path(folder), kind)
    except (AudobonError, OSError) as caught:
        error = disk_error(caught, Path(folder)) if isinstance(caught, OSError) else caught
        report = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stdout.write(msgspec.json.encode(report).decode())
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
