"""Where each API of Google Cloud is spoken to: at Google, or where the environment says."""

import re
from typing import Literal, get_args

import msgspec

from audobon import config
from audobon.errors import Misconfigured

Api = Literal["storage", "tasks", "kms", "run", "logging", "monitoring", "budgets", "secrets", "sqladmin"]
"""The APIs that Audobon speaks."""

APIS: tuple[Api, ...] = get_args(Api)

_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d+))?"
)
_LOOPBACK = re.compile(r"127(?:\.\d{1,3}){3}|\[::1\]|localhost")
_LARGEST_PORT = 65535


class Endpoint(msgspec.Struct, frozen=True):
    """Where an API is spoken to instead of Google's own place.

    host         with its port, as gRPC writes it: 127.0.0.1:8080
    is_insecure  without TLS and without credentials; on this machine only
    """

    host: str
    is_insecure: bool

    @property
    def url(self) -> str:
        """Where REST begins."""
        return f"{'http' if self.is_insecure else 'https'}://{self.host}"


def endpoint(api: Api) -> Endpoint | None:
    """Return where an API is spoken to by the environment's word; None: at Google's own place.

    raises  Misconfigured when it is no address, or would send anything over a network in clear
    """
    text = config.cloud_endpoint(api)
    return None if not text else parse_endpoint(text, variable=config.endpoint_variable(api))


def parse_endpoint(text: str, *, variable: str) -> Endpoint:
    """Return the endpoint of `http://127.0.0.1:8080`, `127.0.0.1:8080` or `https://kms.example.net`.

    variable  where the text stands, for messages
    raises    Misconfigured
    """
    match = _ADDRESS.fullmatch(text.strip().rstrip("/"))
    if match is None or int(match["port"] or 1) not in range(1, _LARGEST_PORT + 1):
        raise Misconfigured(f"{variable}: {text!r} is no address", hint=f"{variable}=http://127.0.0.1:8080")
    is_here = _LOOPBACK.fullmatch(match["host"]) is not None
    if match["scheme"] == "http" and not is_here:
        raise Misconfigured(
            f"{variable}: {text!r} would be spoken to in clear, and only this machine may",
            hint=f"use https, or take {variable} away to speak to Google",
        )
    is_insecure = is_here and match["scheme"] != "https"
    port = match["port"] or ("80" if is_insecure else "443")
    return Endpoint(f"{match['host']}:{port}", is_insecure)
