"""`audobon storage lifecycle apply`: a bucket carries out the rules by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.locations import LOCATION
from audobon.cli.terminal import print_json, say
from audobon.errors import InvalidInput

if TYPE_CHECKING:
    from audobon.backup.locations import Location


@click.command(name="apply", short_help="Have a bucket carry out the rules by itself.")
@click.argument("place", type=LOCATION)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print all rules of the bucket as JSON.")
def apply_to_bucket(place: "Location", file: Path | None, *, as_json: bool) -> None:
    """Have the bucket of PLACE carry out the rules of a FILE, or those in force here.

    PLACE is gs://BUCKET or gs://BUCKET/PREFIX; its packs are meant, and rules for other names stay as they
    are. In a place for backups nothing may be deleted by rule. The cloud knows of new rules within a day.
    """
    from audobon.app import open_app
    from audobon.backup.bucket_rules import carry_out
    from audobon.backup.locations import BucketFolder
    from audobon.jobs.lifecycle import demand_sound
    from audobon.storage.lifecycle_rules import as_json as in_json
    from audobon.storage.lifecycle_rules import read_rules

    if not isinstance(place, BucketFolder):
        raise InvalidInput(
            f"{place} is no bucket, and moves nothing by itself", hint="audobon storage lifecycle run"
        )
    storage = open_app().storage
    rules = storage.tiering.rules() if file is None else read_rules(file)
    demand_sound(rules, storage)
    found = carry_out(place, rules)
    if as_json:
        print_json(in_json(found))
    count = len(rules)
    say(f"{place}: {count} rule{'' if count == 1 else 's'} set; the cloud follows them within a day or two")
