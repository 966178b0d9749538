"""The system's copies of files: let go of, so that opening them is as cold as after a start."""

import os
from collections.abc import Iterable
from pathlib import Path


def forget(files: Iterable[Path]) -> bool:
    """Let go of what the system keeps of some files; false where it cannot be asked to."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            # Only what has reached the disk can be let go of.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return True
