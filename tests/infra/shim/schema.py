"""The committed schema of the provider, and the same as the protocol wants it."""

import functools
import json
from pathlib import Path
from typing import Any

from shim import wire

SCHEMA = Path(__file__).parents[3] / "infra" / "checks" / "schema" / "google.json"

Block = dict[str, Any]

# The provider fills these in from its own configuration when a resource does not say them.
FILLED_IN = {"project", "region", "zone"}


@functools.cache
def read_schema() -> dict[str, Any]:
    """Return the schema: configuration, resources and data_sources, each made of blocks.

    A block has attributes (name -> [type, "required" or "optional" or "computed", values?]) and blocks
    (name -> [nesting, least, most, block]); most is 0 where there is no limit.
    """
    found: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return found


def is_computed(name: str, mode: str) -> bool:
    """Say whether the provider decides a value when the configuration does not."""
    return mode == "computed" or (mode == "optional" and name in FILLED_IN)


def wire_schemas(schema: dict[str, Any]) -> wire.Message:
    """Return the answer to GetSchema."""
    answer = wire.message("Schemas")()
    answer.provider.CopyFrom(_schema(schema["configuration"]))
    for kind, entries in (
        ("resources", answer.resource_schemas),
        ("data_sources", answer.data_source_schemas),
    ):
        for name, block in schema[kind].items():
            entries.add(key=name, value=_schema(block))
    return answer


def _schema(block: Block) -> wire.Message:
    return wire.message("Schema")(block=_block(block, is_top=True))


def _block(block: Block, *, is_top: bool = False) -> wire.Message:
    answer = wire.message("Block")()
    for name, (kind, mode, *_) in block["attributes"].items():
        answer.attributes.add(
            name=name,
            type=json.dumps(kind).encode(),
            required=mode == "required",
            optional=mode == "optional",
            computed=mode == "computed" or (is_top and is_computed(name, mode)),
        )
    for name, (nesting, least, most, inner) in block["blocks"].items():
        answer.block_types.add(
            type_name=name,
            block=_block(inner),
            nesting=wire.NESTING[nesting],
            min_items=least,
            max_items=most,
        )
    return answer
