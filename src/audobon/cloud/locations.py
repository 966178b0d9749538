"""Where things lie: regions, the part of the world around them, and the second place for backups."""

from typing import NamedTuple

from audobon.errors import Misconfigured
from audobon.settings import CloudSettings


class Locations(NamedTuple):
    """The places of one stage.

    region            where work is done
    backup_location   what Cloud Storage calls the part of the world around the backup's two regions
    backup_regions    the two, neither of which is `region`: a backup must outlive the place it is of
    key_location      what Cloud KMS calls that part of the world: a bucket's key lies where the bucket does
    database_backups  what Cloud SQL calls it
    """

    region: str
    backup_location: str
    backup_regions: tuple[str, str]
    key_location: str
    database_backups: str


# By how a region's name begins: Cloud Storage's word, Cloud KMS's, Cloud SQL's, and where backups may lie.
_PARTS = {
    "us": ("US", "us", "us", ("us-east1", "us-west1", "us-central1")),
    "europe": ("EU", "europe", "eu", ("europe-west4", "europe-north1", "europe-west1")),
    "asia": ("ASIA", "asia", "asia", ("asia-northeast1", "asia-southeast1", "asia-east1")),
}


def locations(cloud: CloudSettings) -> Locations:
    """Return where a stage's things lie. raises Misconfigured when the regions do not go together."""
    part = cloud.region.partition("-")[0]
    if part not in _PARTS:
        raise Misconfigured(
            f"cloud.region: backups of {cloud.region} have no second place: it lies in none of"
            f" {', '.join(_PARTS)}",
            hint="choose a region such as us-central1, europe-west1 or asia-northeast1",
        )
    storage, keys, database, choices = _PARTS[part]
    second = cloud.second_region or next(each for each in choices if each != cloud.region)
    if second == cloud.region:
        raise Misconfigured(
            f"cloud.second_region is {second}, like cloud.region: one fire would take both",
            hint="choose another, or leave it empty",
        )
    if second.partition("-")[0] != part:
        raise Misconfigured(
            f"cloud.second_region: {second} lies in another part of the world than {cloud.region}",
            hint=f"choose one that begins with {part}-",
        )
    third = next(each for each in choices if each not in (cloud.region, second))
    return Locations(cloud.region, storage, (second, third), keys, database)
