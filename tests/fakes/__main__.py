"""Runs the fakes as one process, by the real clock, until it is stopped: `make cloud-fake`."""

import argparse
import signal
import threading
import time

from fakes.cloud import FakeCloud
from fakes.project import furnish

BUCKET = "audobon-fake"
"""Is there from the beginning, since Audobon makes no buckets."""


def main() -> None:
    """Print the variables to export, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="fakes", description="A Google Cloud in effigy on this machine.")
    parser.add_argument("--grpc-port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--http-port", type=int, default=0, help="0: any that is free")
    ports = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with FakeCloud(clock=time.time, grpc_port=ports.grpc_port, http_port=ports.http_port) as cloud:
        cloud.tasks.start()
        for name, value in (cloud.environment() | furnish(cloud)).items():
            print(f"export {name}={value}")
        cloud.storage.add_bucket(BUCKET)
        print(f"# there is a bucket: gs://{BUCKET}")
        print(
            "# a Google Cloud in effigy, on this machine alone; Ctrl-C ends it, and forgets it all",
            flush=True,
        )
        stopped.wait()


if __name__ == "__main__":
    main()
