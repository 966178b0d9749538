"""One HTTP/1.1 server for all fakes whose APIs speak JSON."""

import json
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fakes.api import Call, FakeApi
from fakes.faults import Faults
from fakes.refusal import Dropped, Refused

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


@dataclass(frozen=True)
class HttpRequest:
    """A request that arrived.

    names       what the braces of the route's pattern caught, unquoted
    parameters  of the query; of one given twice, the last
    headers     by their names in small letters
    body        what arrived of it
    is_cut      whether the connection breaks before the end of the body
    """

    method: str
    path: str
    names: dict[str, str]
    parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes
    is_cut: bool = False

    def json(self) -> Any:
        """Return the body as plain values; nothing as an empty object. raises Refused."""
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise Refused(400, "Parse Error", reason="parseError") from error


@dataclass(frozen=True)
class HttpAnswer:
    """An answer: bytes as they are, or plain values as JSON.

    cut_bytes  the connection breaks when so many bytes of the body are sent; None: it holds
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_bytes: int | None = None


@dataclass(frozen=True)
class Route:
    """What answers a method on paths of a pattern.

    name           what faults and recorded calls name it: "storage.objects.insert"
    pattern        "/storage/v1/b/{bucket}/o/{object}"; a brace catches up to the next slash
    is_told_cuts   whether it is run with what arrived of a body that is cut off
    """

    name: str
    method: str
    pattern: str
    handler: Callable[[HttpRequest], HttpAnswer]
    is_told_cuts: bool = False


class HttpServer:
    """Serves routes on a port of loopback.

    calls  every call that arrived, in that order
    """

    def __init__(self, faults: Faults, *, port: int = 0) -> None:
        self._faults = faults
        self._routes: list[tuple[Route, re.Pattern[str], FakeApi]] = []
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._is_stopping = False
        self.calls: list[Call] = []
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-http"
        )
        self._thread.start()

    def serve(self, routes: list[Route], fake: FakeApi) -> None:
        """Serve a fake's routes; of two that fit, the one served first answers."""
        for route in routes:
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.pattern))
            self._routes.append((route, re.compile(pattern), fake))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str], FakeApi] | None:
        """Return what answers, and what its pattern caught."""
        for route, pattern, fake in self._routes:
            if route.method == method and (match := pattern.fullmatch(path)) is not None:
                return route, {name: unquote(text) for name, text in match.groupdict().items()}, fake
        return None

    def bytes_until_cut(self, name: str) -> int | None:
        """Return after how many bytes of its body the connection of this call breaks; None: it holds."""
        return self._faults.take_cut(name)

    def answer(self, route: Route, fake: FakeApi, request: HttpRequest) -> HttpAnswer:
        """Answer a call, with the faults that wait for it. raises Dropped."""
        with self._lock:
            self.calls.append(Call(route.name, request, request.headers))
        try:
            with self._faults.around(route.name) as is_duplicate:
                answer = self._run(route, fake, request)
                if is_duplicate:
                    # Who sent it once hears of it once.
                    with suppress(Refused):
                        self._run(route, fake, request)
            if request.is_cut:
                raise Dropped
            return answer
        except Refused as refused:
            return HttpAnswer(refused.json(), refused.http, refused.headers())

    def stop(self) -> None:
        """Stop at once: every connection is closed."""
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            self._is_stopping = True
            connections = list(self._connections)
        for connection in connections:
            _shut(connection)
        self._server.server_close()

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, to close it when the server stops."""
        with self._lock:
            self._connections.add(connection)
            is_late = self._is_stopping
        if is_late:
            _shut(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._connections.discard(connection)

    def _run(self, route: Route, fake: FakeApi, request: HttpRequest) -> HttpAnswer:
        if request.is_cut and not route.is_told_cuts:
            raise Dropped
        with fake.lock:
            return route.handler(request)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # Whoever was there has gone.
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128


def _handler(server: HttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            server.opened(self.connection)

        def finish(self) -> None:
            server.closed(self.connection)
            try:
                super().finish()
            except OSError:
                return

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                # Whoever was there has gone.
                return

        def log_message(self, *_: Any) -> None:
            return

        def serve(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found = server.find(self.command, parts.path)
            cut = server.bytes_until_cut(found[0].name) if found is not None else None
            body = self._chunks() if "chunked" in headers.get("transfer-encoding", "") else self._sized(cut)
            if found is None:
                self._send(HttpAnswer(Refused(404, f"Not Found: {self.command} {parts.path}").json(), 404))
                return
            route, names, fake = found
            parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
            request = HttpRequest(
                self.command, parts.path, names, parameters, headers, body, is_cut=cut is not None
            )
            try:
                answer = server.answer(route, fake, request)
            except Dropped:
                self.close_connection = True
                return
            self._send(answer)

        def _sized(self, cut: int | None) -> bytes:
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(length if cut is None else min(cut, length))

        def _chunks(self) -> bytes:
            body = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(body)

        def _send(self, answer: HttpAnswer) -> None:
            body = answer.body
            headers = dict(answer.headers)
            if body is None:
                body = b""
            elif not isinstance(body, bytes):
                body = json.dumps(body).encode()
                headers.setdefault("Content-Type", "application/json; charset=UTF-8")
            self.send_response(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            if answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if answer.cut_bytes is None else body[: answer.cut_bytes])
            if answer.cut_bytes is not None:
                self.close_connection = True

    for method in _METHODS:
        setattr(Handler, f"do_{method}", Handler.serve)
    return Handler
