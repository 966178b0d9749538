"""The checks of infra/ have teeth: mistakes are made in a copy of it, and each is found by its check."""

import re
from concurrent.futures import Future
from pathlib import Path

import embedded
import pytest
from google.protobuf import json_format
from inventory import plan_stage
from mistakes import Mistake, all_mistakes, made, mistakes
from offline import Begin, Offline, Plan, Result
from policy import Fault, faults

pytestmark = pytest.mark.infra


def flat(text: str) -> str:
    return " ".join(re.sub(r"[╷│╵]", "", text).split())


def named(mistake: Mistake) -> str:
    return mistake.name


@pytest.mark.parametrize("mistake", mistakes("format"), ids=named)
def test_the_form_is_checked(offline: Offline, mistake: Mistake) -> None:
    infra = offline.copy()

    with made(infra, mistake):
        result = offline.run(infra, "fmt", "-check", "-diff", "-recursive", "-no-color")

    assert result.status != 0
    assert mistake.said in flat(result.text)


@pytest.fixture(scope="module")
def validated(offline: Offline, begin: Begin) -> dict[str, "Future[Result]"]:
    """Have the folder of each mistake validated, in a copy of its own."""

    def run(mistake: Mistake) -> Result:
        infra = offline.copy()
        folder = infra / Path(mistake.file).parent
        assert offline.prepare(folder).status == 0
        with made(infra, mistake):
            return offline.validate(folder)

    return {mistake.name: begin(run, mistake) for mistake in mistakes("invalid")}


@pytest.mark.parametrize("mistake", mistakes("invalid"), ids=named)
def test_what_the_provider_does_not_know_is_invalid(
    validated: dict[str, "Future[Result]"], mistake: Mistake
) -> None:
    result = validated[mistake.name].result()

    assert result.status == 1
    assert mistake.said in flat(result.errors)


def plan_with(offline: Offline, wrong: list[Mistake]) -> Plan:
    """Return the plan of production with mistakes in it."""
    infra = offline.copy()
    with made(infra, *wrong):
        return plan_stage(offline, infra, "production")


@pytest.fixture(scope="module")
def found(all_knowing: Offline) -> set[Fault]:
    """Return what the rules find in a plan with all mistakes at once."""
    return set(faults(plan_with(all_knowing, mistakes("against_the_rules")), stage="production"))


@pytest.mark.parametrize("mistake", mistakes("against_the_rules"), ids=named)
def test_what_breaks_our_rules_is_found(found: set[Fault], mistake: Mistake) -> None:
    assert mistake.said in {fault.rule for fault in found}


@pytest.mark.parametrize("mistake", mistakes("unreadable"), ids=named)
def test_a_document_that_google_could_not_read_is_found(all_knowing: Offline, mistake: Mistake) -> None:
    plan = plan_with(all_knowing, [mistake])

    with pytest.raises(json_format.ParseError, match=mistake.said):
        embedded.read_all(plan)


def test_there_are_thirty_mistakes_and_more() -> None:
    names = [mistake.name for mistake in all_mistakes()]

    assert len(set(names)) == len(names)
    assert len(names) >= 30
