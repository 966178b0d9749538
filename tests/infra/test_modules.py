"""Every folder of HCL by itself: its form, its validity, its own tests, its README."""

import re
from concurrent.futures import Future

import pytest
import tables
from offline import INFRA, Begin, Offline, Result
from provider_types import surplus_types

pytestmark = pytest.mark.infra

FOLDERS = tables.folders()
NAMES = [folder.relative_to(INFRA).as_posix() for folder in FOLDERS]
MODULES = [name for name in NAMES if name.startswith("modules/")]

# What OpenTofu does not know, or what a plan could not be held against the shim with.
FOREIGN = re.compile(
    r'^\s*(ephemeral|provisioner|removed) |terraform_data|"(random|null|local|archive)_', re.MULTILINE
)


def test_all_hcl_has_the_form_that_terraform_gives_it(offline: Offline) -> None:
    result = offline.run(INFRA, "fmt", "-check", "-diff", "-recursive", "-no-color")

    assert (result.status, result.text) == (0, "")


@pytest.fixture(scope="module")
def runs(offline: Offline, begin: Begin) -> dict[str, "Future[tuple[Result, Result | None]]"]:
    """Have each folder validated, and each module tested."""
    infra = offline.copy()

    def run(name: str) -> tuple[Result, Result | None]:
        prepared = offline.prepare(infra / name)
        if prepared.status:
            return prepared, None
        return offline.validate(infra / name), offline.test(infra / name) if name in MODULES else None

    return {name: begin(run, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_valid(runs: dict[str, "Future[tuple[Result, Result | None]]"], name: str) -> None:
    validated, _ = runs[name].result()

    assert validated.text.strip() == "Success! The configuration is valid."


@pytest.mark.parametrize("name", MODULES)
def test_a_module_passes_its_own_tests(
    runs: dict[str, "Future[tuple[Result, Result | None]]"], name: str
) -> None:
    written = sum(
        len(re.findall(r'^run "', path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (INFRA / name / "tests").glob("*.tftest.hcl")
    )
    assert written > 0

    _, tested = runs[name].result()

    assert tested is not None
    assert f"Success! {written} passed, 0 failed." in tested.output, tested.text


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_the_variables_and_outputs_of_today(name: str) -> None:
    readme = (INFRA / name / "README.md").read_text(encoding="utf-8")

    assert readme == tables.with_table(readme, INFRA / name)


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_and_output_is_described(name: str) -> None:
    found = list(tables.entries(INFRA / name))

    assert [entry.name for entry in found if not entry.description.endswith((".", ";", ")"))] == []
    assert [entry.name for entry in found if entry.kind == "variable" and not entry.type] == []


def test_all_folders_ask_for_the_same_versions() -> None:
    pinned = {
        name: re.findall(r'version\s+= "([^"]+)"', (INFRA / name / "versions.tf").read_text(encoding="utf-8"))
        for name in NAMES
    }

    assert {
        name: found for name, found in pinned.items() if found not in ([], [">= 1.7"], [">= 1.7", "~> 6.50"])
    } == {}


def test_nothing_is_used_that_opentofu_or_the_shim_does_not_know() -> None:
    found = {
        path.relative_to(INFRA).as_posix(): match.group()
        for path in INFRA.rglob("*.tf")
        if (match := FOREIGN.search(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_the_schema_holds_only_types_that_the_hcl_names() -> None:
    assert surplus_types() == set()
