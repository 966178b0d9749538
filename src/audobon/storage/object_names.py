"""What objects may be called, so that no name leads out of the store that holds it."""

import re

from audobon.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,199})*")
_LONGEST_NAME = 500


def demand_name(name: str) -> str:
    """Return a name that an object may have. raises InvalidInput."""
    # Names come from manifests and commands too: none may leave the folder.
    if not is_name(name):
        raise InvalidInput(f"{name!r} cannot name an object", hint="use letters, digits, . _ - and /")
    return name


def is_name(name: str) -> bool:
    """Tell whether an object may be called so."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def folder_of_prefix(prefix: str) -> str:
    """Return the folder in which all lies that begins so; "" for all. raises InvalidInput for `../`."""
    folder, slash, _ = prefix.rpartition("/")
    if slash and not _NAME.fullmatch(folder):
        raise InvalidInput(f"no name of an object begins with {prefix!r}", hint="use letters, digits and /")
    return folder
