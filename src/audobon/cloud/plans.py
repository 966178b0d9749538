"""A plan that was made and not applied yet: what it would do, and what it was made from."""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from audobon.atomic import disk_errors, write_bytes
from audobon.cloud.stages import StageName
from audobon.errors import CloudConflict, Corrupt, NotFound

Deed = Literal["create", "update", "replace", "delete"]

MOST_HOURS = 24.0
"""An older plan is made anew: too much may have changed since."""

# What cannot be made again once it is gone.
_HOLDS_DATA = {
    "google_bigquery_dataset",
    "google_kms_crypto_key",
    "google_kms_key_ring",
    "google_logging_project_bucket_config",
    "google_sql_database",
    "google_sql_database_instance",
    "google_storage_bucket",
}


class Change(msgspec.Struct, frozen=True):
    """What a plan does to one thing.

    address     as Terraform names it: module.stage.module.storage.google_storage_bucket.this["blobs"]
    holds_data  whether data goes with it when it goes
    """

    address: str
    deed: Deed
    holds_data: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is planned for a stage.

    made_at      seconds since 1970
    origin       digest of the HCL and the variables it was made from
    is_destroy   whether it takes the stage away
    """

    stage: StageName
    project: str
    made_at: float
    origin: str
    program: str
    changes: list[Change]
    is_destroy: bool = False

    def count(self, deed: Deed) -> int:
        """Return how many things a deed is done to."""
        return sum(change.deed == deed for change in self.changes)

    @property
    def losses(self) -> list[Change]:
        """What holds data, and goes or is replaced."""
        return [each for each in self.changes if each.holds_data and each.deed in ("replace", "delete")]


def read_changes(shown: dict[str, Any]) -> list[Change]:
    """Return the changes in a plan as `terraform show -json` writes it."""
    changes = []
    for resource in shown.get("resource_changes", []):
        if resource.get("mode") != "managed":
            continue
        deed = _deed(resource["change"]["actions"])
        if deed is not None:
            changes.append(Change(resource["address"], deed, resource["type"] in _HOLDS_DATA))
    return changes


def _deed(actions: list[str]) -> Deed | None:
    if "delete" in actions:
        return "replace" if "create" in actions else "delete"
    for deed in ("create", "update"):
        if deed in actions:
            return deed
    return None


def origin_of(infra: Path, stage: StageName, variables: bytes) -> str:
    """Return a digest of all that a plan is made from: HCL, what stands beside it, and the variables."""
    digest = hashlib.sha256(variables)
    with disk_errors(infra):
        for path in _sources(infra, stage):
            digest.update(path.relative_to(infra).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(infra: Path, stage: StageName) -> Iterable[Path]:
    folders = (infra / "modules", infra / "stages" / stage)
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path
        for path in found
        if path.name.endswith((".tf", ".tfvars", ".tfvars.json", ".tf.json"))
        and ".terraform" not in path.parts
    )


class SavedPlan:
    """The one plan of a stage that waits to be applied, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = folder / "plan.json"

    @property
    def file(self) -> Path:
        """Where Terraform keeps its own part."""
        return self._folder / "plan.out"

    def save(self, plan: Plan) -> None:
        """Keep what is known of a plan whose file is there."""
        write_bytes(self._note, msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")

    def find(self) -> Plan | None:
        """Return the plan that waits, if any. raises Corrupt."""
        with disk_errors(self._note):
            if not self._note.exists() or not self.file.exists():
                return None
            data = self._note.read_bytes()
        try:
            return msgspec.json.decode(data, type=Plan)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{self._note} is no plan: {error}", hint="plan anew: audobon cloud plan"
            ) from error

    def take(self, *, stage: StageName, project: str, origin: str) -> Plan:
        """Return the plan that waits, if it may be applied still.

        raises  NotFound when there is none; CloudConflict when it is old, or made from something else
        """
        plan = self.find()
        again = f"audobon cloud plan --stage {stage}"
        if plan is None:
            raise NotFound(f"nothing is planned for {stage}", hint=again)
        if plan.project != project:
            raise CloudConflict(f"the plan is for the project {plan.project}, not {project}", hint=again)
        if plan.origin != origin:
            raise CloudConflict("the settings or the HCL changed since it was planned", hint=again)
        hours = (time.time() - plan.made_at) / 3600
        if not 0 <= hours <= MOST_HOURS:
            raise CloudConflict(f"the plan is {hours:.0f} hours old", hint=again)
        return plan

    def forget(self) -> None:
        """Remove the plan that waits."""
        with disk_errors(self._note):
            self._note.unlink(missing_ok=True)
            self.file.unlink(missing_ok=True)
