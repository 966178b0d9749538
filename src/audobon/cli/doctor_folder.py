"""What the doctor says of a data folder that other users of the machine can look into."""

import os
import shlex
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def is_open_to_others(folder: Path) -> bool:
    """Tell whether others than its owner may look into a folder that is there."""
    return os.name != "nt" and folder.is_dir() and bool(folder.stat().st_mode & _OTHERS)


def in_one_line(folder: Path) -> str:
    """Return what to do about it, in one line."""
    return f"privacy: others can look into the data folder; to close it: chmod 700 {shlex.quote(str(folder))}"
