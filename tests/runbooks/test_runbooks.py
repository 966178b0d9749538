"""Every page of the runbooks, done as it stands: its scenario strikes, its commands run, all is well."""

import subprocess
from pathlib import Path

import pytest
from page import difference, steps
from scenarios import SCENARIOS, Desk

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")


def test_every_page_has_a_scenario_and_stands_in_the_list() -> None:
    listed = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert {path.stem for path in PAGES} == set(SCENARIOS)
    for path in PAGES:
        assert f"({path.name})" in listed


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_commands_of_a_page_mend_what_it_is_about(page: Path, desk: Desk) -> None:
    scenario = SCENARIOS[page.stem](desk)
    scenario.strike()
    found = steps(page.read_text(encoding="utf-8"))
    assert found, "a page without commands helps nobody"
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
        assert told is None, f"{page.name}:{step.line}: {step.command} (status {done.returncode})\n{told}"
    scenario.check()
