"""Running Terraform: which program, and what its complaints are called here."""

import os
import signal
from pathlib import Path

import pytest
from stand_in import StandIn

from audobon.cloud.terraform import Terraform, failure, find
from audobon.errors import (
    AudobonError,
    CloudConflict,
    CloudDenied,
    CloudMisconfigured,
    CloudNotFound,
    CloudUnavailable,
    Misconfigured,
    OnHold,
    QuotaExceeded,
)

# In the words of Terraform, its provider and Google; put together, not recorded in a real project.
COMPLAINTS = {
    name: text
    for name, _, text in (
        part.partition("\n")
        for part in (Path(__file__).parent / "complaints.txt").read_text(encoding="utf-8").split("== ")[1:]
    )
}


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("no credentials", CloudDenied, "gcloud auth application-default login"),
        ("no credentials for state", CloudDenied, "gcloud auth application-default login"),
        ("no bucket", CloudNotFound, "make what holds the state first: infra/bootstrap/README.md"),
        (
            "locked",
            CloudConflict,
            "somebody else is applying; if nobody is, the words above name the lock: terraform force-unlock",
        ),
        (
            "api off",
            CloudMisconfigured,
            "wait a few minutes after an API was switched on; else switch it on: gcloud services enable",
        ),
        ("not allowed", CloudDenied, "ask whoever owns the project for the right that is named"),
        ("protected", OnHold, "what is protected is let go of on purpose only: docs/guides/google-cloud.md"),
        (
            "key protected",
            OnHold,
            "what is protected is let go of on purpose only: docs/guides/google-cloud.md",
        ),
        (
            "variable",
            Misconfigured,
            "set it in terraform.tfvars of the stage, or in the section [cloud] of the settings",
        ),
        ("quota", QuotaExceeded, "try again later, or ask Google for a larger quota"),
        (
            "no network",
            CloudUnavailable,
            "see whether the network reaches Google and the registry of providers; then try again",
        ),
        ("stale", CloudConflict, "plan anew: audobon cloud plan"),
        ("typo", CloudMisconfigured, "Terraform's own words above say where"),
    ],
)
def test_a_complaint_is_named(name: str, kind: type[AudobonError], hint: str) -> None:
    error = failure("planning", COMPLAINTS[name])

    assert (type(error), error.hint) == (kind, hint)
    assert error.message.startswith("planning: ")


def test_the_message_is_the_first_words_of_the_first_error() -> None:
    assert failure("planning", COMPLAINTS["locked"]).message == "planning: Error acquiring the state lock"
    assert failure("planning", "killed\n").message == "planning: killed"
    assert failure("planning", "").message == "planning: it ended without a word"


def test_without_a_program_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        Misconfigured, match="neither terraform nor tofu is in any folder of the PATH"
    ) as raised:
        find(None)
    assert raised.value.hint == "install Terraform or OpenTofu, 1.7 or newer, or name it with --terraform"
    with pytest.raises(Misconfigured, match="is no program that can be run"):
        find(tmp_path / "terraform")


def test_opentofu_does_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tofu = StandIn(tmp_path / "bin", "tofu")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert find(None) == str(tofu.program)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ('{"terraform_version": "1.6.6"}', "is version 1.6.6; 1.7 is the oldest"),
        ("Terraform v1.11.4", "does not say its version"),
        ("{}", "does not say its version"),
    ],
)
def test_a_program_that_will_not_do_is_refused(tmp_path: Path, says: str, words: str) -> None:
    program = StandIn(tmp_path / "bin")
    program.answers("version", says)

    with pytest.raises(Misconfigured, match=words):
        Terraform(tmp_path, notes=tmp_path, program=program.program).check_version()


def test_lines_are_told_as_they_come_without_their_colours(tmp_path: Path) -> None:
    program = StandIn(tmp_path / "bin")
    program.answers("plan", "\x1b[1mPlan:\x1b[0m 1 to add.\nDone.\n")
    heard: list[str] = []

    Terraform(tmp_path, notes=tmp_path, program=program.program).run(
        "plan", doing="planning", listener=heard.append
    )

    assert heard == ["Plan: 1 to add.", "Done."]


def test_an_interrupt_lets_terraform_end_by_itself(tmp_path: Path) -> None:
    program = StandIn(tmp_path / "bin")
    program.answers("apply", "", waits=True)
    heard: list[str] = []

    def listen(line: str) -> None:
        heard.append(line)
        if line == "module.stage: Creating...":
            os.kill(os.getpid(), signal.SIGINT)

    terraform = Terraform(tmp_path, notes=tmp_path, program=program.program)
    with pytest.raises(KeyboardInterrupt):
        terraform.run("apply", doing="applying", listener=listen)

    assert heard == ["module.stage: Creating...", "Interrupt received.", "Gracefully shutting down..."]
