"""Plans, applies, looks at and takes away a stage, with Terraform as the hand."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec

from audobon.atomic import disk_errors, write_bytes
from audobon.cloud.plans import Plan, SavedPlan, origin_of, read_changes
from audobon.cloud.stages import StageName
from audobon.cloud.terraform import Listener, Terraform
from audobon.cloud.variables import variables
from audobon.errors import Conflict, Denied, Misconfigured, OnHold
from audobon.processes import FileLock
from audobon.settings import Settings

_CHANGED = 2
"""Terraform's status for a plan that is not empty."""

# All but project and keys: the name of a key is never given again, and without it what is kept is noise.
_MODULES = (
    "access",
    "audit",
    "build",
    "compute",
    "costs",
    "database",
    "functions",
    "load_balancer",
    "network",
    "queue",
    "storage",
    "telemetry",
)
"""What is taken away with a stage, as modules/stage names it."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a stage.

    things    how many there are, by module; empty when nothing was applied yet
    settings  what goes into the section [cloud]; empty when nothing was applied yet
    outputs   all that the stage tells
    planned   the plan that waits, if any
    drift     what somebody changed by hand, by address; None when nobody looked
    """

    stage: StageName
    project: str
    things: dict[str, int]
    settings: dict[str, str]
    outputs: dict[str, Any]
    planned: Plan | None
    drift: list[str] | None


class Cloud:
    """One stage in one project.

    infra     the folder of HCL: modules and stages
    program   Terraform's path; None: the PATH is searched
    listener  is told every line that Terraform writes
    raises    Misconfigured when the project, the HCL or the program is missing
    """

    def __init__(
        self,
        settings: Settings,
        stage: StageName,
        *,
        infra: Path,
        program: Path | None = None,
        listener: Listener | None = None,
    ) -> None:
        if not settings.cloud.project:
            raise Misconfigured(
                "no project of Google Cloud is named",
                hint="set cloud.project, or AUDOBON_CLOUD_PROJECT, or say --project",
            )
        self._settings = settings
        self._stage = stage
        self._infra = infra
        self._folder = infra / "stages" / stage
        if not (self._folder / "main.tf").is_file():
            raise Misconfigured(
                f"{infra} holds no stage {stage}",
                hint="go to Audobon's repository, or name its folder infra with --infra",
            )
        self._notes = settings.storage.folder / "cloud" / settings.cloud.project / stage
        self._saved = SavedPlan(self._notes)
        self._listener = listener
        self._terraform = Terraform(self._folder.absolute(), notes=self._notes / "terraform", program=program)

    @property
    def project(self) -> str:
        """The project's id."""
        return self._settings.cloud.project

    @property
    def state_bucket(self) -> str:
        """The bucket that the stage's state is kept in, as infra/bootstrap names it."""
        return f"{self.project}-{self._settings.cloud.tasks_queue_prefix}-state"

    def plan(self) -> Plan:
        """Find out what applying would do, and keep that plan. Changes nothing in the cloud."""
        with self._alone():
            return self._plan()

    def apply(self, plan: Plan) -> dict[str, Any]:
        """Do what was planned; return what the stage tells then.

        plan    as `planned` returned it
        raises  Conflict when another plan waits by now
        """
        with self._alone():
            return self._apply(plan)

    def planned(self) -> Plan:
        """Return the plan that waits, if it may be applied still. raises NotFound, CloudConflict."""
        return self._saved.take(stage=self._stage, project=self.project, origin=self._origin())

    def plan_to_destroy(self) -> Plan:
        """Find out what taking the stage away would do, and keep that plan. The keys stay."""
        with self._alone():
            targets = [f"-target=module.stage.module.{name}" for name in _MODULES]
            return self._plan("-destroy", *targets, is_destroy=True)

    def standing(self, *, looks_for_drift: bool = False) -> Standing:
        """Return what there is.

        looks_for_drift  whether every thing is compared with what was applied, which takes a while
        """
        with self._alone():
            self._init()
            shown = self._terraform.read("show", "-json", doing="reading the state")
            outputs = self._outputs()
            drift = self._drift() if looks_for_drift else None
        return Standing(
            stage=self._stage,
            project=self.project,
            things=_count(shown.get("values", {}).get("root_module", {})),
            settings=outputs.get("settings", {}),
            outputs=outputs,
            planned=self._saved.find(),
            drift=drift,
        )

    def _plan(self, *arguments: str, is_destroy: bool = False) -> Plan:
        self._saved.forget()
        self._init()
        self._write_variables()
        self._terraform.run(
            "plan",
            "-no-color",
            "-lock-timeout=60s",
            "-detailed-exitcode",
            f"-var-file={self._variables_file}",
            f"-out={self._saved.file}",
            *arguments,
            doing="planning",
            listener=self._listener,
            allowed=(0, _CHANGED),
        )
        shown = self._terraform.read("show", "-json", str(self._saved.file), doing="reading the plan")
        plan = Plan(
            stage=self._stage,
            project=self.project,
            made_at=time.time(),
            origin=self._origin(),
            program=self._terraform.program,
            changes=read_changes(shown),
            is_destroy=is_destroy,
        )
        self._saved.save(plan)
        return plan

    def _apply(self, plan: Plan) -> dict[str, Any]:
        if self._saved.find() != plan:
            raise Conflict(
                "another plan was made meanwhile", hint=f"audobon cloud plan --stage {self._stage}"
            )
        self._init()
        try:
            self._terraform.run(
                "apply",
                "-no-color",
                "-lock-timeout=60s",
                str(self._saved.file),
                doing="applying",
                listener=self._listener,
            )
        finally:
            # Done, or begun: in both cases what is there now is not what it was made for.
            self._saved.forget()
        return self._outputs()

    def _init(self) -> None:
        with disk_errors(self._notes):
            self._notes.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._terraform.check_version()
        self._terraform.run(
            "init",
            "-no-color",
            "-reconfigure",
            f"-backend-config=bucket={self.state_bucket}",
            f"-backend-config=prefix={self._stage}",
            doing="getting ready",
            listener=self._listener,
        )

    def _outputs(self) -> dict[str, Any]:
        told = self._terraform.read("output", "-json", doing="reading what the stage tells")
        return {name: each["value"] for name, each in told.items()}

    def _drift(self) -> list[str]:
        self._write_variables()
        file = self._notes / "drift.out"
        try:
            self._terraform.run(
                "plan",
                "-no-color",
                "-refresh-only",
                "-lock=false",
                "-detailed-exitcode",
                f"-var-file={self._variables_file}",
                f"-out={file}",
                doing="comparing",
                listener=self._listener,
                allowed=(0, _CHANGED),
            )
            shown = self._terraform.read("show", "-json", str(file), doing="reading what was compared")
        finally:
            file.unlink(missing_ok=True)
        return sorted(
            each["address"]
            for each in shown.get("resource_drift", [])
            if each["change"]["actions"] != ["no-op"]
        )

    @property
    def _variables_file(self) -> Path:
        return self._notes / "settings.tfvars.json"

    def _variables(self) -> bytes:
        told = variables(self._settings, self._stage)
        return json.dumps(told, indent=2, sort_keys=True).encode() + b"\n"

    def _write_variables(self) -> None:
        write_bytes(self._variables_file, self._variables())

    def _origin(self) -> str:
        return origin_of(self._infra, self._stage, self._variables())

    def _alone(self) -> FileLock:
        return FileLock(self._notes / "lock", purpose=f"work on the stage {self._stage}")


def refuse_destroying(stage: StageName, project: str, *, is_sure: bool, project_said: str | None) -> None:
    """Raise Denied when production would go without somebody being sure and naming its project."""
    if project_said is not None and project_said != project:
        raise Denied(f"the project is {project}, not {project_said}: nothing was taken away")
    if stage == "production" and not (is_sure and project_said):
        raise Denied(
            "production is not taken away like that",
            hint=f"when you are sure: --yes --project-name {project}",
        )


def refuse_losses(plan: Plan, *, is_allowed: bool) -> None:
    """Raise OnHold when a plan removes or replaces what holds data, and nobody said that it may."""
    if plan.losses and not is_allowed:
        named = ", ".join(change.address for change in plan.losses[:3])
        more = f" and {len(plan.losses) - 3} more" if len(plan.losses) > 3 else ""
        raise OnHold(f"data would be lost with {named}{more}", hint="when that is meant: --loses-data")


def _count(module: dict[str, Any]) -> dict[str, int]:
    """Return how many things a state holds, by the module of the stage they are in."""
    found: dict[str, int] = {}

    def walk(each: dict[str, Any], name: str) -> None:
        own = sum(resource.get("mode") == "managed" for resource in each.get("resources", []))
        if own:
            found[name] = found.get(name, 0) + own
        for child in each.get("child_modules", []):
            # module.stage.module.load_balancer[0] is the load balancer.
            walk(child, child["address"].rpartition("module.")[2].partition("[")[0])

    walk(module, "stage")
    return dict(sorted(found.items()))
