"""Runs the fakes as one process, by the real clock, until it is stopped: `make cloud-fake`."""

import signal
import threading
import time

from fakes.cloud import FakeCloud


def main() -> None:
    """Print the variables to export, and serve until Ctrl-C."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with FakeCloud(clock=time.time) as cloud:
        cloud.tasks.start()
        for name, value in cloud.environment().items():
            print(f"export {name}={value}")
        print(
            "# a Google Cloud in effigy, on this machine alone; Ctrl-C ends it, and forgets it all",
            flush=True,
        )
        stopped.wait()


if __name__ == "__main__":
    main()
