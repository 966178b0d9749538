"""Where the `audobon` command begins, so that Ctrl-C is quiet from here to its end.

Loading the program takes a tenth of a second, in which there is nothing to stop and nothing to tell. Imports
nothing of Audobon at its head: until `main` runs Python would answer an interruption with a traceback.
"""

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line; see `audobon.cli.main`."""
    # One that was started with Ctrl-C ignored, as by nohup, goes on ignoring it.
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    try:
        if not is_ignored:
            signal.signal(signal.SIGINT, _end)
        signal.signal(signal.SIGTERM, _end)
        sys.unraisablehook = _tell_unraisable
        from audobon.cli.main import main as command

        try:
            if not is_ignored:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            command()
        finally:
            # What the command had to stop is stopped: whoever does not wait for Python to end need not.
            if not is_ignored:
                signal.signal(signal.SIGINT, _end)
            signal.signal(signal.SIGTERM, _end)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)


def _end(_number: int, _frame: "FrameType | None") -> None:
    os._exit(INTERRUPTED)


def _tell_unraisable(told: "sys.UnraisableHookArgs") -> None:
    """End where Python would print that it threw an interruption away, and go on; else do as Python does."""
    if issubclass(told.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    sys.__unraisablehook__(told)
