"""Every page of the runbooks, done as it stands: its scenario strikes, its commands run, all is well."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from page import Step, difference, steps
from runbook_desk import Desk
from scenarios import SCENARIOS, DatabaseDamaged, RegionLost, Scenario

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
CASES = [
    pytest.param(page, scenario, id=f"{page.stem}-{scenario.__name__}")
    for page in PAGES
    for scenario in SCENARIOS[page.stem]
]


def follow(desk: Desk, found: Sequence[Step]) -> str | None:
    """Type the commands of a page; return what went otherwise than the page says, None when nothing did."""
    for step in found:
        done = subprocess.run(
            ["bash", "-c", desk.placed(step.command)],
            cwd=desk.home,
            env=desk.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            check=False,
        )
        told = difference(desk.unplaced(done.stdout), step)
        if told is not None:
            return f"line {step.line}: {step.command} (status {done.returncode})\n{told}"
    return None


def steps_of(page: Path) -> list[Step]:
    return steps(page.read_text(encoding="utf-8"))


def test_every_page_has_a_scenario_and_stands_in_the_list() -> None:
    listed = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert {path.stem for path in PAGES} == set(SCENARIOS)
    for path in PAGES:
        assert f"({path.name})" in listed


@pytest.mark.parametrize(("page", "kind"), CASES)
def test_the_commands_of_a_page_mend_what_it_is_about(page: Path, kind: type[Scenario], desk: Desk) -> None:
    scenario = kind(desk)
    scenario.strike()
    found = steps_of(page)
    assert found, "a page without commands helps nobody"
    told = follow(desk, found)
    assert told is None, f"{page.name}, {told}"
    scenario.check()


def test_a_page_that_says_a_wrong_line_fails(desk: Desk) -> None:
    DatabaseDamaged(desk).strike()
    (first, *_) = steps_of(RUNBOOKS / "database-damaged.md")
    told = follow(desk, [Step(first.command, ("the database is sound", "…"), first.line)])
    assert told is not None
    assert "cannot be used as a database" in told


@pytest.mark.parametrize(
    ("page", "kind", "decisive"),
    [
        ("database-damaged", DatabaseDamaged, "audobon recovery mend"),
        ("region-lost", RegionLost, "audobon backup restore"),
    ],
)
def test_a_page_without_its_decisive_command_fails(
    page: str, kind: type[Scenario], decisive: str, desk: Desk
) -> None:
    scenario = kind(desk)
    scenario.strike()
    found = steps_of(RUNBOOKS / f"{page}.md")
    left = [step for step in found if not step.command.startswith(decisive)]
    assert len(left) < len(found)
    assert follow(desk, left) is not None
    # However the rest went: what was lost is not there again.
    with pytest.raises((AssertionError, subprocess.CalledProcessError)):
        scenario.check()
