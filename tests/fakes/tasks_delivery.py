"""Carries deliveries of the fake Cloud Tasks to workers over real HTTP."""

import http.client
import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from fakes.tasks_queue import Answer, Attempt
from fakes.tasks_tokens import TokenSigner

_METHODS = ("POST", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
_NOT_THE_CALLERS = ("x-google-", "x-appengine-", "x-cloudtasks-")
_COMPUTED = ("host", "content-length", "user-agent")


class Courier:
    """Sends what is to be delivered; each thread keeps its connections open.

    signer        mints the token of a delivery at the moment it goes
    most_seconds  the longest that an answer is waited for by this machine's clock, whatever the deadline is
                  by the fake's
    """

    def __init__(self, signer: TokenSigner, *, most_seconds: float = 1800.0) -> None:
        self._signer = signer
        self._most_seconds = most_seconds
        self._of_thread = threading.local()
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def carry(self, attempt: Attempt) -> Answer:
        """Return what the worker answered."""
        request = attempt.task.message.http_request
        url = urlsplit(request.url)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        method = _METHODS[request.http_method]
        seconds = min(self._most_seconds, attempt.deadline_at - attempt.began_at)
        if self._is_closed:
            return Answer(0)
        for is_last in (False, True):
            connection, is_fresh = self._connection(url.scheme, url.netloc, seconds)
            try:
                connection.request(method, target, body=request.body, headers=self.headers(attempt))
                answer = connection.getresponse()
                answer.read()
                return Answer(answer.status, _seconds(answer.getheader("Retry-After")))
            except (OSError, http.client.HTTPException):
                self._drop(url.netloc)
                # A worker may have closed a connection that was kept open. If it died over the task instead,
                # it gets it once more, as it may of the service.
                if is_fresh or is_last or self._is_closed:
                    break
        return Answer(0)

    def headers(self, attempt: Attempt) -> dict[str, str]:
        """Return the headers of a delivery: the task's own, less what only Google may set, and Google's."""
        message = attempt.task.message
        request = message.http_request
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _COMPUTED and not name.lower().startswith(_NOT_THE_CALLERS)
        }
        queue, _, task = message.name.rpartition("/tasks/")
        headers |= {
            "User-Agent": "Google-Cloud-Tasks",
            "X-CloudTasks-QueueName": queue.rpartition("/")[2],
            "X-CloudTasks-TaskName": task,
            "X-CloudTasks-TaskRetryCount": str(attempt.retry),
            "X-CloudTasks-TaskExecutionCount": str(attempt.executions),
            "X-CloudTasks-TaskETA": f"{attempt.due_at:.6f}",
        }
        if attempt.task.previous_status:
            headers["X-CloudTasks-TaskPreviousResponse"] = str(attempt.task.previous_status)
        if request.WhichOneof("authorization_header") == "oidc_token":
            token = request.oidc_token
            audience = token.audience or request.url
            headers["Authorization"] = (
                f"Bearer {self._signer.fresh_token(token.service_account_email, audience)}"
            )
        return headers

    def hang_up(self) -> None:
        """Break every connection, so that nobody waits for an answer any more."""
        self._is_closed = True
        with self._lock:
            sockets = [each.sock for each in self._open if each.sock is not None]
        for each in sockets:
            # Whoever was there may have gone.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection, when nobody uses one any more."""
        for each in self._open:
            each.close()

    def _drop(self, place: str) -> None:
        connection = self._of_thread.connections.pop(place)
        connection.close()
        with self._lock:
            self._open.discard(connection)

    def _connection(self, scheme: str, place: str, seconds: float) -> tuple[Any, bool]:
        connections = self._of_thread.__dict__.setdefault("connections", {})
        if place in connections:
            connections[place].timeout = seconds
            if connections[place].sock is not None:
                connections[place].sock.settimeout(seconds)
            return connections[place], connections[place].sock is None
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connections[place] = kind(place, timeout=seconds)
        with self._lock:
            self._open.add(connections[place])
        return connections[place], True


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
