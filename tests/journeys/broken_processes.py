"""Processes that fail in a chosen place: Python runs a module of a certain name at its start."""

from pathlib import Path


def broken_in(folder: Path, code: str) -> dict[str, str]:
    """Return the environment in which this code runs at the start of every Python."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}
