"""`audobon cloud`: what a person sees, with a stand-in for Terraform; nothing here reaches a network."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from queue_desk import START, Desk, Outcome

sys.path.insert(0, str(Path(__file__).parents[1] / "cloud"))

from stand_in import StandIn, change, shown

from audobon.cloud.variables import FILE, file_text
from audobon.errors import (
    Cancelled,
    CloudConflict,
    CloudDenied,
    Denied,
    Misconfigured,
    NotFound,
    OnHold,
)
from audobon.settings import Settings

INFRA = Path(__file__).parents[2] / "infra"
QUEUE = 'module.stage.module.queue.google_cloud_tasks_queue.this["audobon-batch-low"]'
BUCKET = 'module.stage.module.storage.google_storage_bucket.this["blobs"]'
SETTINGS = {"project": "my-comics", "bucket": "my-comics-audobon-blobs"}
OUTPUTS = json.dumps({"settings": {"value": SETTINGS}, "address": {"value": None}})
TWO_TO_MAKE = shown(change(QUEUE, "create"), change(BUCKET, "create"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository's infrastructure, which the person is in."""
    shutil.copytree(INFRA, tmp_path / "repository" / "infra", ignore=shutil.ignore_patterns("checks"))
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A stand-in, alone on the PATH, in a project that is set."""
    stand_in = StandIn(tmp_path / "programs")
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    monkeypatch.setenv("AUDOBON_CLOUD_PROJECT", "my-comics")
    stand_in.answers("show -json", TWO_TO_MAKE)
    stand_in.answers("output", OUTPUTS)
    return stand_in


def cloud(desk: Desk, *arguments: str) -> Outcome:
    return desk.audobon("cloud", *arguments)


def plan(desk: Desk, *arguments: str) -> Outcome:
    return cloud(desk, "plan", "--quiet", *arguments)


def test_a_plan_says_what_applying_would_do(desk: Desk, repository: Path, terraform: StandIn) -> None:
    assert plan(desk) == Outcome(
        0,
        "development in my-comics: 2 to make\n",
        "to do it: audobon cloud apply --stage development\n",
    )
    assert terraform.commands == ["version", "init", "plan", "show"]
    chdir, _, *options = terraform.asked[2]
    assert chdir == f"-chdir={repository}/infra/stages/development"
    assert {"-detailed-exitcode", "-lock-timeout=60s"} < set(options)
    assert terraform.asked[1][2:] == [
        "-no-color",
        "-reconfigure",
        "-backend-config=bucket=my-comics-audobon-state",
        "-backend-config=prefix=development",
    ]


def test_terraform_is_given_the_settings_in_force(
    desk: Desk, repository: Path, terraform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDOBON_DATABASE_KEEP_DAYS", "2")
    plan(desk)
    given = json.loads(terraform.variables_file.read_text(encoding="utf-8"))

    assert given["project"] == "my-comics"
    assert given["settings"]["database"]["recovery_days"] == 2


def test_what_terraform_writes_is_shown_beside_the_result(
    desk: Desk, repository: Path, terraform: StandIn
) -> None:
    outcome = cloud(desk, "plan")

    assert outcome.out == "development in my-comics: 2 to make\n"
    assert "Initializing the backend...\n" in outcome.err
    assert "Plan: 2 to add.\n" in outcome.err


def test_a_plan_names_what_is_removed_and_what_goes_with_it(
    desk: Desk, repository: Path, terraform: StandIn
) -> None:
    terraform.answers("show -json", shown(change(QUEUE, "delete"), change(BUCKET, "delete", "create")))

    assert plan(desk).out == (
        "development in my-comics: 1 to replace, 1 to remove\n"
        f"  replace {BUCKET}, with the data in it\n"
        f"  remove {QUEUE}\n"
    )


def test_a_plan_without_changes_says_so(desk: Desk, repository: Path, terraform: StandIn) -> None:
    terraform.answers("plan", "No changes.\n")
    terraform.answers("show -json", shown())

    assert plan(desk) == Outcome(0, "development in my-comics: nothing to do\n", "")
    assert plan(desk, "--json").json["changes"] == []


def test_applying_does_the_plan_that_was_seen_and_tells_the_settings(
    desk: Desk, repository: Path, terraform: StandIn
) -> None:
    plan(desk)
    outcome = cloud(desk, "apply", "--yes", "--quiet")

    assert outcome == Outcome(
        0,
        '[cloud]\nproject = "my-comics"\nbucket = "my-comics-audobon-blobs"\n',
        "development is as planned\n",
    )
    assert terraform.commands[4:] == ["version", "init", "apply", "output"]
    assert terraform.asked[6][-1].endswith("cloud/my-comics/development/plan.out")
    assert cloud(desk, "apply", "--yes").status == NotFound.exit


def test_nothing_is_applied_that_was_not_planned(desk: Desk, repository: Path, terraform: StandIn) -> None:
    assert cloud(desk, "apply", "--yes") == Outcome(
        NotFound.exit,
        "",
        "error: nothing is planned for development\nhint: audobon cloud plan --stage development\n",
    )
    assert terraform.asked == []


def test_a_plan_holds_for_what_it_was_made_from(
    desk: Desk, repository: Path, terraform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(desk)
    module = repository / "infra" / "modules" / "queue" / "main.tf"
    before = module.read_text(encoding="utf-8")
    module.write_text(before + "# changed\n", encoding="utf-8")
    changed = cloud(desk, "apply", "--yes")
    module.write_text(before, encoding="utf-8")
    monkeypatch.setenv("AUDOBON_BACKUP_MAX_HOURS", "50")
    other_settings = cloud(desk, "apply", "--yes")
    monkeypatch.delenv("AUDOBON_BACKUP_MAX_HOURS")
    desk.now = START + 25 * 3600
    old = cloud(desk, "apply", "--yes")

    said = "error: the settings or the HCL changed since it was planned\n"
    assert (changed.status, changed.err.startswith(said)) == (CloudConflict.exit, True)
    assert (other_settings.status, other_settings.err.startswith(said)) == (CloudConflict.exit, True)
    assert (old.status, old.err.splitlines()[0]) == (CloudConflict.exit, "error: the plan is 25 hours old")
    assert "apply" not in terraform.commands


def test_a_plan_is_for_one_project_and_one_stage(desk: Desk, repository: Path, terraform: StandIn) -> None:
    plan(desk)

    assert cloud(desk, "apply", "--yes", "--project", "other-comics").status == NotFound.exit
    assert cloud(desk, "apply", "--yes", "--stage", "staging").status == NotFound.exit


def test_data_is_not_lost_by_a_yes(desk: Desk, repository: Path, terraform: StandIn) -> None:
    terraform.answers("show -json", shown(change(BUCKET, "delete")))
    plan(desk)

    assert cloud(desk, "apply", "--yes", "--quiet") == Outcome(
        OnHold.exit,
        "",
        f"error: data would be lost with {BUCKET}\nhint: when that is meant: --loses-data\n",
    )
    assert cloud(desk, "apply", "--yes", "--quiet", "--loses-data").status == 0


def test_a_failed_apply_is_planned_anew(desk: Desk, repository: Path, terraform: StandIn) -> None:
    plan(desk)
    terraform.answers("apply", "╷\n│ Error: googleapi: Error 403: forbidden\n╵\n", status=1)
    outcome = cloud(desk, "apply", "--yes", "--quiet")

    assert (outcome.status, outcome.err.splitlines()[0]) == (
        CloudDenied.exit,
        "error: applying: googleapi: Error 403: forbidden",
    )
    assert cloud(desk, "apply", "--yes").status == NotFound.exit


def test_nobody_is_asked_where_nobody_is(desk: Desk, repository: Path, terraform: StandIn) -> None:
    plan(desk)
    outcome = cloud(desk, "apply")

    assert (outcome.status, outcome.err.splitlines()[-2:]) == (
        Cancelled.exit,
        ["error: nothing was changed: nobody is there to ask", "hint: say --yes"],
    )
    assert cloud(desk, "destroy", "--quiet").status == Cancelled.exit
    assert "apply" not in terraform.commands


def test_the_status_tells_what_there_is(desk: Desk, repository: Path, terraform: StandIn) -> None:
    assert cloud(desk, "status", "--quiet").out == "# development in my-comics\n# nothing was applied yet\n"

    def resources(*modes: str) -> list[dict[str, str]]:
        return [{"mode": mode} for mode in modes]

    stage = {
        "address": "module.stage",
        "child_modules": [
            {"address": "module.stage.module.queue", "resources": resources("managed", "managed", "data")},
            {"address": "module.stage.module.load_balancer[0]", "resources": resources("managed")},
        ],
    }
    terraform.answers("show -json", json.dumps({"values": {"root_module": {"child_modules": [stage]}}}))
    outcome = cloud(desk, "status", "--quiet")

    assert outcome.out == (
        "# development in my-comics\n"
        "# load_balancer     1\n"
        "# queue             2\n"
        "\n"
        '[cloud]\nproject = "my-comics"\nbucket = "my-comics-audobon-blobs"\n'
    )


def test_the_status_ends_badly_when_somebody_changed_something_by_hand(
    desk: Desk, repository: Path, terraform: StandIn
) -> None:
    drifted = {"resource_drift": [change(QUEUE, "update"), change(BUCKET, "no-op")]}
    terraform.answers("show -json", json.dumps(drifted))
    outcome = cloud(desk, "status", "--quiet", "--drift", "--json")

    assert outcome.status == CloudConflict.exit
    assert json.loads(outcome.out)["drift"] == [QUEUE]
    assert outcome.err == (
        "error: 1 things are not as they were applied\n"
        "hint: audobon cloud plan --stage development shows what applying would change back\n"
    )


def test_a_stage_goes_without_its_keys(desk: Desk, repository: Path, terraform: StandIn) -> None:
    terraform.answers("show -json", shown(change(QUEUE, "delete")))
    outcome = cloud(desk, "destroy", "--yes", "--quiet")

    assert outcome == Outcome(
        0,
        "",
        f"development in my-comics: 1 to remove\n  remove {QUEUE}\ndevelopment is gone; its keys are kept\n",
    )
    (planned,) = (asked for asked in terraform.asked if "plan" in asked)
    targets = {each.rpartition(".")[2] for each in planned if each.startswith("-target=")}
    wired = (repository / "infra" / "modules" / "stage" / "main.tf").read_text(encoding="utf-8")
    modules = {line.split('"')[1] for line in wired.splitlines() if line.startswith("module ")}
    assert "-destroy" in planned
    assert targets == modules - {"project", "keys"}


@pytest.mark.parametrize(
    "said", [(), ("--yes",), ("--project-name", "my-comics"), ("--yes", "--project-name", "other-comics")]
)
def test_production_is_not_taken_away_by_mistake(
    desk: Desk, repository: Path, terraform: StandIn, said: tuple[str, ...]
) -> None:
    outcome = cloud(desk, "destroy", "--stage", "production", *said)

    assert (outcome.status, terraform.asked) == (Denied.exit, [])


def test_production_is_taken_away_when_that_is_said_twice(
    desk: Desk, repository: Path, terraform: StandIn
) -> None:
    terraform.answers("show -json", shown(change(QUEUE, "delete")))

    assert cloud(
        desk, "destroy", "--stage", "production", "--yes", "--project-name", "my-comics", "--quiet"
    ).err.endswith("production is gone; its keys are kept\n")


def test_without_a_project_nothing_is_begun(
    desk: Desk, repository: Path, terraform: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDOBON_CLOUD_PROJECT")

    assert plan(desk) == Outcome(
        Misconfigured.exit,
        "",
        "error: no project of Google Cloud is named\n"
        "hint: set cloud.project, or AUDOBON_CLOUD_PROJECT, or say --project\n",
    )
    assert plan(desk, "--project", "said-here").out == "development in said-here: 2 to make\n"


def test_without_terraform_it_is_said_what_to_install(
    desk: Desk, repository: Path, terraform: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    assert plan(desk) == Outcome(
        Misconfigured.exit,
        "",
        "error: neither terraform nor tofu is in any folder of the PATH\n"
        "hint: install Terraform or OpenTofu, 1.7 or newer, or name it with --terraform\n",
    )
    assert plan(desk, "--terraform", str(terraform.program)).status == 0


def test_without_credentials_it_is_said_how_to_log_in(
    desk: Desk, repository: Path, terraform: StandIn
) -> None:
    terraform.answers(
        "init",
        "╷\n│ Error: dialing: google: could not find default credentials.\n╵\n",
        status=1,
    )

    assert plan(desk) == Outcome(
        CloudDenied.exit,
        "",
        "error: getting ready: dialing: google: could not find default credentials.\n"
        "hint: gcloud auth application-default login\n",
    )


def test_outside_of_the_repository_the_folder_is_named(
    desk: Desk, repository: Path, terraform: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = plan(desk)

    assert (outcome.status, outcome.err) == (
        Misconfigured.exit,
        "error: this is not in Audobon's repository, where the infrastructure is written down\n"
        "hint: go there, or name its folder infra with --infra\n",
    )
    assert plan(desk, "--infra", str(repository / "infra")).status == 0
    assert plan(desk, "--infra", str(tmp_path)).err.startswith(
        f"error: {tmp_path} holds no stage development\n"
    )


def test_settings_are_shown_printed_and_written(desk: Desk, repository: Path) -> None:
    file = repository / "infra" / "stages" / "staging" / FILE
    file.write_text("{}", encoding="utf-8")
    shown_ = cloud(desk, "settings", "--stage", "staging").out.splitlines()
    written = cloud(desk, "settings", "--stage", "staging", "--write")

    assert 'settings.stage = "staging"' in shown_
    assert "settings.queues.audobon-batch-low.max_attempts = 10" in shown_
    assert cloud(desk, "settings", "--stage", "staging", "--json").json == json.loads(
        file_text(Settings(), "staging")
    )
    assert written == Outcome(0, "", f"wrote {file}\n")
    assert file.read_text(encoding="utf-8") == file_text(Settings(), "staging")
