"""Fingerprints of resources, which tell whether anybody changed one meanwhile."""

import itertools

_numbers = itertools.count(1)


def new_etag() -> str:
    """Return an etag that no other state has; its quotes belong to it."""
    return f'"{next(_numbers):012x}"'
