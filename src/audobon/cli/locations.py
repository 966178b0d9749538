"""The parameter that names a place: a folder, or gs://BUCKET/PREFIX."""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from audobon.backup.locations import Location


class LocationParam(click.ParamType["Location"]):
    """A folder, or a bucket of Cloud Storage below a prefix."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Location":
        """Return what a text names. raises InvalidInput."""
        from audobon.backup.locations import parse_location

        return parse_location(value) if isinstance(value, str) else value


LOCATION = LocationParam()
