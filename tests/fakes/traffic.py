"""How Cloud Run shares traffic among revisions: whole percent, one hundred together."""

import re
from collections.abc import Sequence

from google.cloud import run_v2

from fakes.refusal import invalid

_Kind = run_v2.TrafficTargetAllocationType
_TAG = re.compile(r"[a-z]([a-z0-9-]{0,44}[a-z0-9])?")


def usual_traffic() -> list[run_v2.TrafficTarget]:
    """Return where traffic goes when nobody says: all of it to the latest revision that is ready."""
    return [run_v2.TrafficTarget(type_=_Kind.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, percent=100)]


def check_traffic(traffic: Sequence[run_v2.TrafficTarget], kind: str) -> None:
    """Refuse traffic that does not add up, names a revision where none belongs, or a tag twice."""
    where = f"Violation in {kind}ServiceRequest.service.traffic"
    for number, target in enumerate(traffic):
        if target.type_ == _Kind.TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED:
            raise invalid(f"{where}[{number}].type: must be specified.")
        is_named = target.type_ == _Kind.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
        if is_named != bool(target.revision):
            raise invalid(
                f"{where}[{number}].revision: must be specified if and only if traffic type is"
                " TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION."
            )
        if not 0 <= target.percent <= 100:
            raise invalid(f"{where}[{number}].percent: must be between 0 and 100.")
        if not target.percent and not target.tag:
            raise invalid(f"{where}[{number}]: must have a percent or a tag.")
        if target.tag and _TAG.fullmatch(target.tag) is None:
            raise invalid(f"{where}[{number}].tag: {target.tag!r} is not valid.")
    total = sum(target.percent for target in traffic)
    if total != 100:
        raise invalid(f"{where}: the percentages must sum to 100, not {total}.")
    tags = [target.tag for target in traffic if target.tag]
    if len(set(tags)) < len(tags):
        raise invalid(f"{where}: a tag must be unique.")


def statuses(traffic: Sequence[run_v2.TrafficTarget], uri: str) -> list[run_v2.TrafficTargetStatus]:
    """Return how traffic is observed to flow; what has a tag has an address of its own."""
    return [
        run_v2.TrafficTargetStatus(
            type_=target.type_,
            revision=target.revision,
            percent=target.percent,
            tag=target.tag,
            uri=uri.replace("https://", f"https://{target.tag}---") if target.tag else "",
        )
        for target in traffic
    ]
