"""`audobon cloud`: what is in Google Cloud, made and taken away by Terraform from this repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audobon.cli.terminal import print_json, printable, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from audobon.cloud.service import Cloud
    from audobon.cloud.stages import StageName
    from audobon.settings import Settings

_STAGES = ("development", "staging", "production")
_stage = click.option(
    "--stage", type=click.Choice(_STAGES), default=_STAGES[0], show_default=True, help="Which stage."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_project = click.option("--project", default=None, help="Its project; cloud.project when not said.")
_infra = click.option(
    "--infra", type=click.Path(path_type=Path), help="The folder of HCL; found in the repository you are in."
)
_terraform = click.option(
    "--terraform", "program", type=click.Path(path_type=Path), help="Terraform or OpenTofu; the PATH's else."
)
_quiet = click.option("--quiet", is_flag=True, help="Do not show what Terraform writes.")


def _on_a_stage(command: "Callable[..., None]") -> "Callable[..., None]":
    for option in (_quiet, _terraform, _infra, _project, _stage):
        command = option(command)
    return command


@click.group()
def cloud() -> None:
    """Make, look at and take away what Audobon has in Google Cloud.

    docs/guides/google-cloud.md leads from an empty project to the first page.
    """


@cloud.command(short_help="Show what the settings say for a stage, as Terraform's variables.")
@_stage
@_project
@click.option("--write", is_flag=True, help="Write it into the stage's folder, as it is for everybody.")
@_infra
@click.option("--json", "as_json", is_flag=True, help="Print it as Terraform reads it.")
def settings(
    *, stage: "StageName", project: str | None, write: bool, infra: Path | None, as_json: bool
) -> None:
    """Show what the settings say for a stage: queues, buckets, rules, days, budgets, roles.

    With --json it is what a *.tfvars.json file holds. `audobon cloud plan` hands the same to Terraform; the
    file in the stage's folder, which --write renews, is for whoever runs Terraform by hand.
    """
    from audobon.atomic import write_bytes
    from audobon.cloud.variables import FILE, file_text, variables

    chosen = _settings(project)
    if write:
        file = _find_infra(infra) / "stages" / stage / FILE
        write_bytes(file, file_text(chosen, stage).encode())
        say(printable(f"wrote {file}"))
        return
    told = variables(chosen, stage)
    if as_json:
        print_json(told)
        return
    for name, value in _flat(told):
        click.echo(f"{name} = {value}")


@cloud.command(short_help="Find out what applying would do; changes nothing.")
@_on_a_stage
@_json
def plan(*, as_json: bool, **where: Any) -> None:
    """Find out what applying would do, and keep that plan. Changes nothing in the cloud.

    Ends with 0, whether there is something to do or not; --json says what.
    """
    from audobon.cli.cloud_words import plan_lines

    found = _open(**where).plan()
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(plan_lines(found)))
    if found.changes:
        say(f"to do it: audobon cloud apply --stage {found.stage}")


@cloud.command(short_help="Do what was planned.")
@_on_a_stage
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.option("--loses-data", is_flag=True, help="Go on although what holds data is removed or replaced.")
@_json
def apply(*, is_sure: bool, loses_data: bool, as_json: bool, **where: Any) -> None:
    """Do what `audobon cloud plan` found out, and nothing else.

    Refuses when there is no plan, when it is over a day old, or when the settings or the HCL changed since.
    """
    from audobon.cli.cloud_words import ask_to_apply, plan_lines, settings_lines
    from audobon.cloud.service import refuse_losses

    opened = _open(**where)
    planned = opened.planned()
    if not planned.is_destroy:
        refuse_losses(planned, is_allowed=loses_data)
    if not is_sure:
        say("\n".join(plan_lines(planned)))
        ask_to_apply(planned)
    outputs = opened.apply(planned)
    if as_json:
        print_json(outputs)
        return
    say(f"{planned.stage} is as planned")
    click.echo("\n".join(settings_lines(outputs.get("settings", {}))))


@cloud.command(short_help="Show what there is, and whether somebody changed it by hand.")
@_on_a_stage
@click.option("--drift", is_flag=True, help="Compare everything with what was applied; takes a while.")
@_json
def status(*, drift: bool, as_json: bool, **where: Any) -> None:
    """Show what there is of a stage, and what goes into the section [cloud] of audobon.toml.

    With --drift it ends with status 5 when somebody changed something by hand.
    """
    from audobon.cli.cloud_words import standing_lines
    from audobon.errors import CloudConflict

    found = _open(**where).standing(looks_for_drift=drift)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(standing_lines(found)))
    if found.drift:
        raise CloudConflict(
            f"{len(found.drift)} things are not as they were applied",
            hint=f"audobon cloud plan --stage {found.stage} shows what applying would change back",
        )


@cloud.command(short_help="Take a stage away; its keys stay.")
@_on_a_stage
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@click.option("--project-name", default=None, help="The project once more; production asks for it.")
@_json
def destroy(*, is_sure: bool, project_name: str | None, as_json: bool, **where: Any) -> None:
    """Take a stage away, with all that lies in it. The keys stay, and so do the state and its bucket.

    What is protected (all that holds data in staging and production) is refused by Terraform and by Google;
    the guide tells how to let go of it. Production goes only with --yes and --project-name.
    """
    from audobon.cli.cloud_words import ask_to_destroy, plan_lines
    from audobon.cloud.service import refuse_destroying

    opened = _open(**where)
    refuse_destroying(where["stage"], opened.project, is_sure=is_sure, project_said=project_name)
    planned = opened.plan_to_destroy()
    if not as_json:
        say("\n".join(plan_lines(planned)))
    if not is_sure and planned.changes:
        ask_to_destroy(planned)
    if planned.changes:
        opened.apply(planned)
    if as_json:
        print_json(planned)
        return
    say(
        f"{planned.stage} is gone; its keys are kept" if planned.changes else "there was nothing to take away"
    )


def _settings(project: str | None) -> "Settings":
    import msgspec

    from audobon import config

    found = config.load()
    if not project:
        return found
    return msgspec.structs.replace(found, cloud=msgspec.structs.replace(found.cloud, project=project))


def _open(
    *, stage: "StageName", project: str | None, infra: Path | None, program: Path | None, quiet: bool
) -> "Cloud":
    from audobon.cloud.service import Cloud

    return Cloud(
        _settings(project),
        stage,
        infra=_find_infra(infra),
        program=program,
        listener=None if quiet else say,
    )


def _find_infra(named: Path | None) -> Path:
    """Return the folder of HCL: the one named, else that of the repository around this folder."""
    from audobon.errors import Misconfigured

    if named is not None:
        return named
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "infra" / "stages").is_dir():
            return folder / "infra"
    raise Misconfigured(
        "this is not in Audobon's repository, where the infrastructure is written down",
        hint="go there, or name its folder infra with --infra",
    )


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Return nested values as lines: settings.queues.audobon-batch-low.max_attempts, "10"."""
    import json

    if not isinstance(value, dict) or not value:
        return [(name, json.dumps(value))]
    return [line for key, inner in value.items() for line in _flat(inner, f"{name}.{key}" if name else key)]
