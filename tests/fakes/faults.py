"""What goes wrong on the way to Google and there: asked for by a test, met by the next call that fits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from fakes.refusal import Dropped, Refused


@dataclass
class _Fault:
    pattern: str
    left: int
    refused: Exception | None = None
    after_commit: bool = False
    seconds: float = 0.0
    is_duplicate: bool = False
    cut_bytes: int | None = None
    gate: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)


class Held:
    """Calls that are held until they are let go.

    reached  set when the first call is held
    """

    def __init__(self, fault: _Fault) -> None:
        self._fault = fault
        self.reached = fault.reached

    def let_go(self) -> None:
        """Let the held calls go on, and no more be held."""
        assert self._fault.gate is not None
        self._fault.gate.set()


class Faults:
    """The faults that wait for calls. A call is named by its API and method: "kms.Encrypt", or "kms.*"."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._is_down = False
        self._stopping = threading.Event()

    def fail(
        self,
        api_method: str,
        status: str | int,
        *,
        times: int = 1,
        after_commit: bool = False,
        message: str = "a fault that the test asked for",
        reason: str = "",
        retry_seconds: float | None = None,
        **metadata: str,
    ) -> None:
        """Have the next calls refused.

        status         as `Refused`: "UNAVAILABLE", 503
        after_commit   the call does all it does, and only its answer is lost
        reason, retry_seconds, metadata   as `Refused`
        """
        refused = Refused(status, message, reason=reason, retry_seconds=retry_seconds, **metadata)
        self._add(_Fault(api_method, times, refused, after_commit))

    def drop(self, api_method: str, *, times: int = 1, after_commit: bool = False) -> None:
        """Have the connection of the next calls break."""
        self._add(_Fault(api_method, times, Dropped(), after_commit))

    def disable(self, api: str) -> None:
        """Switch an API off in the project, as it is before anybody enabled it."""
        self.fail(
            f"{api}.*",
            "PERMISSION_DENIED",
            times=1 << 30,
            message=f"{api} API has not been used in project 1 before or it is disabled.",
            reason="SERVICE_DISABLED",
        )

    def delay(self, api_method: str, seconds: float, *, times: int = 1) -> None:
        """Have the next calls answered late, by the real clock."""
        self._add(_Fault(api_method, times, seconds=seconds))

    def hold(self, api_method: str, *, times: int = 1) -> Held:
        """Hold the next calls before they do anything, until they are let go."""
        fault = _Fault(api_method, times, gate=threading.Event())
        self._add(fault)
        return Held(fault)

    def duplicate(self, api_method: str, *, times: int = 1) -> None:
        """Have the next calls arrive twice."""
        self._add(_Fault(api_method, times, is_duplicate=True))

    def cut(self, api_method: str, after_bytes: int, *, times: int = 1) -> None:
        """Have the connection of the next calls break when so many bytes of their body have arrived."""
        self._add(_Fault(api_method, times, cut_bytes=after_bytes))

    def take_cut(self, api_method: str) -> int | None:
        """Return after how many bytes a call is to be cut off; None: not at all. For who serves calls."""
        fault = self._take(api_method, is_cut=True)
        return None if fault is None else fault.cut_bytes

    def network_down(self) -> None:
        """Let nothing through any more."""
        self._is_down = True

    def network_up(self) -> None:
        """Let everything through again."""
        self._is_down = False

    def clear(self) -> None:
        """Take back every fault that was not met, and let go what is held."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            if fault.gate is not None:
                fault.gate.set()
        self._is_down = False

    def stop(self) -> None:
        """End every delay, since the servers stop."""
        self._stopping.set()
        self.clear()

    @contextmanager
    def around(self, api_method: str) -> Iterator[bool]:
        """Do to a call what waits for it; tells whether it arrives twice. For who serves calls.

        raises  Refused, Dropped: before the block, or after it for a fault after the commit
        """
        fault = self._take(api_method)
        if fault is not None and fault.gate is not None:
            fault.reached.set()
            fault.gate.wait()
        if fault is not None and fault.seconds:
            self._stopping.wait(fault.seconds)
        if self._is_down:
            raise Dropped
        if fault is not None and fault.refused is not None and not fault.after_commit:
            raise fault.refused
        yield fault is not None and fault.is_duplicate
        if self._is_down:
            raise Dropped
        if fault is not None and fault.refused is not None:
            raise fault.refused

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _take(self, api_method: str, *, is_cut: bool = False) -> _Fault | None:
        with self._lock:
            for fault in self._faults:
                if (
                    fault.left
                    and (fault.cut_bytes is not None) == is_cut
                    and fnmatchcase(api_method, fault.pattern)
                ):
                    if fault.gate is not None and fault.gate.is_set():
                        continue
                    fault.left -= 1
                    return fault
        return None
