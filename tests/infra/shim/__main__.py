"""Serve the provider to Terraform until the input ends.

    cd tests/infra && python -m shim [--knows-all]

prints one line, the value of TF_REATTACH_PROVIDERS. With that set, `terraform get` and `terraform validate`
work without `init` and without a network. The same schema stands for google-beta.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from shim import wire
from shim.provider import Provider
from shim.schema import read_schema

_SOURCES = [
    f"{registry}/hashicorp/{name}"
    for registry in ("registry.terraform.io", "registry.opentofu.org")
    for name in ("google", "google-beta")
]


class Calls(grpc.GenericRpcHandler):
    """Hands each call that the protocol knows to the provider; others are not implemented."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def service(self, details: Any) -> Any:
        """Return what handles a call, or nothing."""
        if details.method not in wire.CALLS:
            return None
        request = wire.message(wire.CALLS[details.method][0])
        return grpc.unary_unary_rpc_method_handler(
            lambda asked, _: self._provider.answer(details.method, asked),
            request_deserializer=request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )


def main() -> None:
    """Serve on a free port of loopback, print where, and end with the input."""
    server = grpc.server(
        ThreadPoolExecutor(8),
        handlers=[Calls(Provider(read_schema(), knows_all="--knows-all" in sys.argv))],
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # "Test" says that Terraform did not start this process and shall not end it.
    attach = {
        "Protocol": "grpc",
        "ProtocolVersion": 5,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
    }
    print(json.dumps(dict.fromkeys(_SOURCES, attach)), flush=True)
    sys.stdin.read()
    server.stop(grace=None)


if __name__ == "__main__":
    main()
