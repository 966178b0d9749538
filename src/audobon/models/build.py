"""Prepares one model in a process of its own: `python -m audobon.models.build NAME FOLDER`.

Conversion needs memory and libraries the work itself does not; both end with the process.
"""

import sys
from pathlib import Path

import msgspec

from audobon.atomic import disk_error
from audobon.errors import AudobonError
from audobon.models.card import built_in_card
from audobon.models.store import prepare


def main() -> int:
    """Prepare the named model; on failure print the error as JSON and return its exit status."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    try:
        prepare(built_in_card(name), folder)
    except (AudobonError, OSError) as caught:
        error = disk_error(caught, folder) if isinstance(caught, OSError) else caught
        report = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stdout.write(msgspec.json.encode(report).decode())
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
