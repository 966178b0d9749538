"""A worker on loopback, for Cloud Tasks to deliver to: real HTTP, and whatever answers a test wants."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Delivered:
    """A delivery as it arrived; headers by their names in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """What the worker answers; status 0: it hangs up."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class FakeWorker:
    """Answers deliveries as it is told, and remembers them.

    handle  answers one; called by several threads at once
    """

    def __init__(self, handle: Callable[[Delivered], Said] = lambda _: Said()) -> None:
        self.delivered: list[Delivered] = []
        self.handle = handle
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-worker"
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, delivered: Delivered) -> Said:
        """Remember a delivery and answer it."""
        self.delivered.append(delivered)
        return self.handle(delivered)

    def close(self) -> None:
        """Take nothing more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "FakeWorker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256


def _handler(worker: FakeWorker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                # Whoever was there has gone.
                return

        def log_message(self, *_: Any) -> None:
            return

        def serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length") or 0))
            said = worker.take(Delivered(self.command, self.path, headers, body))
            if said.status == 0:
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in {"Content-Length": "0", **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve  # noqa: N815

    return Handler
