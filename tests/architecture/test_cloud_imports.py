"""Who knows Google Cloud: the drivers named gcp, the room gcloud, who wires them; and none too early."""

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "audobon"
GOOGLES = {"google", "grpc", "grpc_status", "google_crc32c", "proto", "requests", "urllib3"}
KNOWS_THE_ROOM = ("gcloud/*.py", "*/gcp*.py", "app.py")
KNOWS_GOOGLE = ("gcloud/*.py", "*/gcp*.py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full names that are imported anywhere, also within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def early_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the full names that are imported as soon as the module is."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imports(node)


def of_google(name: str) -> bool:
    # What ONNX speaks has Google's name and nothing of its cloud.
    return name.partition(".")[0] in GOOGLES and not name.startswith("google.protobuf")


def of_the_room(name: str) -> bool:
    return name == "audobon.gcloud" or name.startswith("audobon.gcloud.")


def faults_of(name: str, source: str) -> list[str]:
    """Return what a module imports that it may not; its name is its path within the package."""
    tree = ast.parse(source)
    may_know_google = any(fnmatch.fnmatch(name, pattern) for pattern in KNOWS_GOOGLE)
    may_know_the_room = any(fnmatch.fnmatch(name, pattern) for pattern in KNOWS_THE_ROOM)
    found = [each for each in imports(tree) if of_google(each) and not may_know_google]
    found += [each for each in imports(tree) if of_the_room(each) and not may_know_the_room]
    found += [f"{each}, at once" for each in early_imports(tree) if of_google(each)]
    return sorted(set(found))


def test_only_drivers_know_google_cloud_and_load_it_when_they_need_it() -> None:
    faults = {
        path.relative_to(PACKAGE).as_posix(): found
        for path in sorted(PACKAGE.rglob("*.py"))
        if (found := faults_of(path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")))
    }
    assert faults == {}


@pytest.mark.parametrize(
    ("name", "source", "fault"),
    [
        ("queue/port.py", "def f():\n    import google.auth", "google.auth"),
        ("backup/places.py", "from google.cloud import storage", "google.cloud"),
        ("storage/service.py", "from audobon.gcloud.clients import storage_client", "audobon.gcloud.clients"),
        ("storage/service.py", "from audobon import gcloud", "audobon.gcloud"),
        ("cli/cloud.py", "import requests", "requests"),
        ("storage/gcp.py", "from google.cloud import storage", "google.cloud, at once"),
        ("gcloud/clients.py", "try:\n    import grpc\nexcept ImportError:\n    grpc = None", "grpc, at once"),
    ],
)
def test_the_rule_has_teeth(name: str, source: str, fault: str) -> None:
    assert fault in faults_of(name, source)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("storage/gcp.py", "def f():\n    from google.cloud import storage"),
        ("storage/gcp_tiers.py", "from audobon.gcloud.clients import storage_client"),
        ("app.py", "from audobon.gcloud import endpoints"),
        ("queue/gcp.py", "if TYPE_CHECKING:\n    from google.cloud import tasks_v2"),
    ],
)
def test_a_driver_may(name: str, source: str) -> None:
    assert faults_of(name, source) == []
