"""Which fields a message must have, as Google's own references say it in every generated class.

The classes of proto-plus carry none of the interface's annotations, but its words: "Required. The name of…".
"""

import inspect
import re
from collections.abc import Collection
from functools import cache
from typing import Any

_REQUIRED = re.compile(r"^\s+(?P<field>\w+) \([^)]*\):\s+Required\.", re.MULTILINE)


def missing_field(message: Any, *, excused: Collection[str] = ()) -> str | None:
    """Return the path of the first required field that a message lacks, at any depth; None: it has all.

    excused  paths of fields that may lack
    """
    kind = type(message)
    if not hasattr(kind, "meta"):
        # A class of protobuf's own compiler says nothing of the kind.
        return None
    raw = kind.pb(message)
    for name in _required_fields(kind):
        if name not in excused and not _is_set(raw, name):
            return name
    for descriptor, _ in raw.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        name = _attribute(kind, descriptor.name)
        below = [path.removeprefix(f"{name}.") for path in excused if path.startswith(f"{name}.")]
        for part in getattr(message, name) if descriptor.is_repeated else [getattr(message, name)]:
            if (found := missing_field(part, excused=below)) is not None:
                return f"{name}.{found}"
    return None


def not_masked(request: Any) -> set[str]:
    """Return the paths of what a change leaves as it is, by its mask: that need not be given."""
    mask = getattr(request, "update_mask", None)
    if mask is None or not mask.paths:
        return set()
    changed = {path.partition(".")[0] for path in mask.paths}
    found = set()
    for name in type(request).meta.fields:
        kind = type(getattr(request, name))
        if hasattr(kind, "meta"):
            found |= {f"{name}.{field}" for field in kind.meta.fields if field not in changed}
    return found


@cache
def _required_fields(kind: Any) -> tuple[str, ...]:
    fields = kind.meta.fields
    words = inspect.getdoc(kind) or ""
    return tuple(match["field"] for match in _REQUIRED.finditer(words) if match["field"] in fields)


def _attribute(kind: Any, name: str) -> str:
    # A name that Python keeps for itself has an underscore after it.
    return name if name in kind.meta.fields else f"{name}_"


def _is_set(raw: Any, name: str) -> bool:
    descriptor = raw.DESCRIPTOR.fields_by_name.get(name) or raw.DESCRIPTOR.fields_by_name.get(name[:-1])
    if descriptor is None or descriptor.type == descriptor.TYPE_BOOL:
        # No and nothing are one on the wire.
        return True
    if descriptor.enum_type is not None:
        first = descriptor.enum_type.values_by_number[0].name
        return bool(getattr(raw, descriptor.name)) or not first.endswith("UNSPECIFIED")
    if descriptor.has_presence:
        return bool(raw.HasField(descriptor.name))
    return bool(getattr(raw, descriptor.name))
