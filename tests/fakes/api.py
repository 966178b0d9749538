"""What the fakes of all APIs have in common: a clock, faults, a lock, and what was called."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from google.protobuf.timestamp_pb2 import Timestamp

from fakes.faults import Faults

DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Call:
    """A call that arrived, whatever became of it.

    method    "kms.Encrypt", "storage.objects.insert"
    metadata  headers, by their names in small letters
    """

    method: str
    request: Any
    metadata: dict[str, str]


class FakeApi:
    """An API with its state. Its calls run one after the other, each whole or not at all seen by others.

    api  its short name, as in `audobon.gcloud.endpoints.Api`
    """

    api: ClassVar[str]

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        self.clock = clock
        self.faults = faults
        self.lock = threading.RLock()

    def now(self) -> Timestamp:
        """Return the present instant as the APIs say it."""
        return timestamp(self.clock())


def timestamp(seconds: float) -> Timestamp:
    """Return an instant as the APIs say it."""
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=round((seconds - whole) * 1e6) * 1000)
