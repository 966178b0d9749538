"""Values as they travel between Terraform and a provider: msgpack, with a mark for what is not known yet."""

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from shim.schema import Block, is_computed

UNKNOWN = msgpack.ExtType(0, b"\0")

Fault = tuple[list[str | int], str]


def unpack(data: bytes) -> Any:
    """Return a value; what is not known stays a mark, with whatever Terraform knows about it."""
    return msgpack.unpackb(data, strict_map_key=False) if data else None


def pack(value: Any) -> bytes:
    """Return a value for the wire."""
    packed: bytes = msgpack.packb(value)
    return packed


def is_unknown(value: Any) -> bool:
    """Say whether a value will only be known after a plan was applied."""
    return isinstance(value, msgpack.ExtType)


def faults(block: Block, value: dict[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[Fault]:
    """Yield what a configuration may not say, each with the path to it.

    Terraform itself holds it against names, types and numbers of blocks. Left to the provider are attributes
    that nobody may set, and the values of enumerations.
    """
    for name, (_, mode, *values) in block["attributes"].items():
        given = value.get(name)
        if given is None:
            continue
        if mode == "computed":
            yield [*path, name], f'Google decides "{name}"; it cannot be set'
        for each in given if isinstance(given, list) else [given]:
            if values and not is_unknown(each) and each is not None and each not in values[0]:
                yield [*path, name], f'"{name}" is {each!r}, but may be one of {", ".join(values[0])}'
    for name, (nesting, _, _, inner) in block["blocks"].items():
        given = value.get(name)
        if given is None or is_unknown(given):
            continue
        if nesting == "single":
            yield from faults(inner, given, (*path, name))
            continue
        for number, each in enumerate(given):
            if not is_unknown(each):
                # An element of a set has no place, so the path ends at the block.
                yield from faults(inner, each, (*path, name, *([number] if nesting == "list" else [])))


def fill(
    block: Block, value: Any, decide: Callable[[tuple[str, ...], Any], Any], path: tuple[str, ...] = ()
) -> Any:
    """Return a value in which `decide` has put what the provider decides and nobody said."""
    if value is None or is_unknown(value):
        return value
    filled = dict(value)
    for name, (kind, mode, *_) in block["attributes"].items():
        decides = mode == "computed" or (not path and is_computed(name, mode))
        if decides and (filled.get(name) is None or is_unknown(filled[name])):
            filled[name] = decide((*path, name), kind)
    for name, (nesting, _, _, inner) in block["blocks"].items():
        given = filled.get(name)
        if given is None or is_unknown(given):
            continue
        if nesting == "single":
            filled[name] = fill(inner, given, decide, (*path, name))
        else:
            filled[name] = [fill(inner, each, decide, (*path, name)) for each in given]
    return filled


def settle(
    value: Any, path: tuple[str, ...], kind: Any, decide: Callable[[tuple[str, ...], Any], Any]
) -> Any:
    """Return a value of a type with everything that is unknown in it decided."""
    if is_unknown(value):
        return decide(path, kind)
    if value is None or isinstance(kind, str):
        return value
    name, inner = kind
    if name == "object":
        return {key: settle(value.get(key), (*path, key), each, decide) for key, each in inner.items()}
    if name == "map":
        return {key: settle(each, (*path, key), inner, decide) for key, each in value.items()}
    return [settle(each, path, inner, decide) for each in value]


def settle_block(
    block: Block, value: Any, decide: Callable[[tuple[str, ...], Any], Any], path: tuple[str, ...] = ()
) -> Any:
    """Return a block with everything that is unknown in it decided."""
    if value is None:
        return None
    settled = {
        name: settle(value.get(name), (*path, name), kind, decide)
        for name, (kind, *_) in block["attributes"].items()
    }
    for name, (nesting, _, _, inner) in block["blocks"].items():
        given = value.get(name)
        if nesting == "single" or given is None:
            settled[name] = settle_block(inner, given, decide, (*path, name))
        elif is_unknown(given):
            settled[name] = []
        else:
            settled[name] = [settle_block(inner, each, decide, (*path, name)) for each in given]
    return settled
