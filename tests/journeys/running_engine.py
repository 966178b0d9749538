"""`audobon up`, started and stopped around a test."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from audobon_command import Audobon


@contextmanager
def engine_up(audobon: Audobon, *arguments: object, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Have an engine run during the block; it is asked to end after it, unless it ended already."""
    process = audobon.start("up", *arguments, **options)
    try:
        stream = process.stdout if "--json" in arguments else process.stderr
        assert stream is not None
        first = stream.readline()
        assert "is running, with" in first, first or process.communicate()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        if process.stdout is not None and not process.stdout.closed:
            process.communicate(timeout=10)
