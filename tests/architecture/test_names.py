"""Names, lengths, docstrings, and the two things that only a few places may do."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "audobon"

DRAWERS = {"utils", "util", "common", "helpers", "misc", "shared", "core", "base", "kit"}
LONGEST_LINES = 800
USUAL_LINES = 400
LONGEST_FIRST_LINE = 99

# Modules over 400 lines, each with the reason why it is one piece.
LONG_MODULES: dict[str, str] = {"errors.py": "one tree, which is drawn and read as one"}

# Places that may catch every exception, each with the reason.
CATCHES_EVERYTHING = {
    "cli/main.py": "the last handler: every failure becomes a message and an exit status",
    "database/reading_ahead.py": "carried from the thread that reads to the one that takes, and raised there",
    "models/sessions.py": "onnxruntime raises classes of its own straight from C++",
    "compute/worker.py": "the boundary of a task: a fault in one page must not end the book",
    "models/store.py": "onnxruntime raises classes of its own straight from C++",
    "pages/decode.py": "decoders raise whatever they like on damaged pictures",
}

READS_THE_ENVIRONMENT = {"config.py"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def public(tree: Documented, prefix: str) -> Iterator[tuple[str, Documented]]:
    """Yield a module, its public classes and functions, and their public methods."""
    yield prefix, tree
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_") or _is_restated(node):
            continue
        name = f"{prefix}:{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from public(node, name)
        else:
            yield name, node


def _is_restated(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a function only restates another: an overload, a setter, or an override."""
    words = {word for decorator in node.decorator_list for word in ast.unparse(decorator).split(".")}
    return bool(words & {"overload", "override", "setter"})


def docstring_of(name: str, node: Documented) -> str | None:
    """Return the docstring of what is public; a method may leave it to the class whose promise it keeps."""
    own = ast.get_docstring(node)
    module, *path = name.split(":")
    if own is not None or len(path) < 2:
        return own
    found: object = importlib.import_module(f"audobon.{module.removesuffix('.py').replace('/', '.')}")
    for part in path:
        found = getattr(found, part)
    return inspect.getdoc(found)


def fault_of_docstring(docstring: str | None) -> str | None:
    if not docstring:
        return "has no docstring"
    first = docstring.splitlines()[0]
    if len(first) > LONGEST_FIRST_LINE:
        return f"has a first line of {len(first)} characters"
    # A question is a sentence too: commands may put one to the user.
    return None if first.endswith((".", "?")) else f"has a first line that is no sentence: {first!r}"


def reads_environment(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT and ast.unparse(node.value) == "os")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and ENVIRONMENT & {alias.name for alias in node.names}
        )
        for node in ast.walk(tree)
    )


def catches_everything(tree: ast.Module) -> bool:
    """Say whether a module catches Exception or all there is, without letting it pass on unchanged."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = (
            {"BaseException"} if node.type is None else set(ast.unparse(node.type).strip("()").split(", "))
        )
        # Cleaning up and raising the very same again hides nothing.
        last = node.body[-1]
        passes_on = isinstance(last, ast.Raise) and last.exc is None
        if caught & {"Exception", "BaseException"} and not passes_on:
            return True
    return False


def test_no_module_or_folder_is_a_drawer() -> None:
    drawers = {
        name_of(path)
        for path in PACKAGE.rglob("*")
        if path.stem.strip("_") in DRAWERS and (path.is_dir() or path.suffix == ".py")
    }
    assert drawers == set()


def test_no_module_is_longer_than_800_lines_and_long_ones_are_listed() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name for name, count in lines.items() if count > LONGEST_LINES} == set()
    assert {name for name, count in lines.items() if count > USUAL_LINES} == set(LONG_MODULES)


def test_everything_public_has_a_docstring_that_begins_with_a_sentence() -> None:
    faults = [
        f"{name} {fault}"
        for path in modules()
        for name, node in public(parse(path), name_of(path))
        if (fault := fault_of_docstring(docstring_of(name, node)))
    ]
    assert faults == []


def test_only_the_configuration_reads_the_environment() -> None:
    assert {name_of(path) for path in modules() if reads_environment(parse(path))} <= READS_THE_ENVIRONMENT


def test_only_listed_places_catch_every_exception() -> None:
    assert {name_of(path) for path in modules() if catches_everything(parse(path))} == set(CATCHES_EVERYTHING)


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        (None, "has no docstring"),
        ("Does it", "has a first line that is no sentence: 'Does it'"),
        ("x" * 99 + ".", "has a first line of 100 characters"),
        ("Does it.\n\nreturns  nothing", None),
    ],
)
def test_the_docstring_rule_has_teeth(docstring: str | None, fault: str | None) -> None:
    assert fault_of_docstring(docstring) == fault


def test_a_method_may_leave_its_docstring_to_the_promise_it_keeps() -> None:
    names = ("queue/sql.py:SqlTasks:finish", "queue/embedded.py:SqliteQueue:claim")
    nodes = dict(each for path in modules() for each in public(parse(path), name_of(path)))

    assert [ast.get_docstring(nodes[name]) for name in names] == [None, None]
    assert [fault_of_docstring(docstring_of(name, nodes[name])) for name in names] == [None, None]


@pytest.mark.parametrize(
    "source",
    ["import os\nos.environ['HOME']", "import os\nos.getenv('HOME')", "from os import environ"],
)
def test_the_environment_rule_has_teeth(source: str) -> None:
    assert reads_environment(ast.parse(source))
    assert not reads_environment(ast.parse("import os\nos.getpid()"))


@pytest.mark.parametrize(
    ("handler", "is_caught"),
    [
        ("except Exception:\n    pass", True),
        ("except:\n    pass", True),
        ("except (OSError, Exception) as error:\n    raise ValueError from error", True),
        ("except BaseException:\n    clean_up()\n    raise", False),
        ("except OSError:\n    pass", False),
    ],
)
def test_the_rule_on_catching_everything_has_teeth(handler: str, is_caught: bool) -> None:
    assert catches_everything(ast.parse(f"try:\n    work()\n{handler}")) == is_caught
