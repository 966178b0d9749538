"""Run checkov, from its own environment and without a network, and read what it found.

checkov ends well when it cannot read a file, so what it says of itself is read too: how many resources it
saw, and how many files it could not read.
"""

import json
import os
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from offline import INFRA, ROOT

CHECKOV = ROOT / ".venv-infra" / "bin" / "checkov"
SKIPS = INFRA / "checks" / "checkov-skips.toml"

_NOWHERE = "http://127.0.0.1:9"


class Finding(NamedTuple):
    """What checkov finds fault with: its check, and the resource as its file names it."""

    check: str
    resource: str


class Scan(NamedTuple):
    """What a run of checkov came to."""

    passed: int
    resources: int
    unread_files: int
    silenced: set[Finding]
    failed: dict[Finding, str]


class Skip(NamedTuple):
    """A finding that was looked at and left, with the reason."""

    finding: Finding
    reason: str
    reviewed: date


def scan(*arguments: str) -> Scan:
    """Run checkov with the arguments that say what to look at."""
    done = subprocess.run(
        [
            str(CHECKOV),
            *arguments,
            "--skip-download",
            "--download-external-modules",
            "false",
            "--output",
            "json",
            "--compact",
            "--quiet",
        ],
        env=os.environ | {"HTTP_PROXY": _NOWHERE, "HTTPS_PROXY": _NOWHERE, "LOG_LEVEL": "ERROR"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return _read(json.loads(done.stdout))


def _read(report: dict[str, Any]) -> Scan:
    summary, results = report["summary"], report["results"]
    return Scan(
        passed=summary["passed"],
        resources=summary["resource_count"],
        unread_files=summary["parsing_errors"],
        silenced={_finding(each) for each in results.get("skipped_checks", [])},
        failed={_finding(each): each["check_name"] for each in results.get("failed_checks", [])},
    )


def _finding(record: dict[str, Any]) -> Finding:
    return Finding(record["check_id"], record["resource"])


def skips(path: Path = SKIPS) -> list[Skip]:
    """Return the reviewed findings."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Skip(Finding(each["check"], resource), each["reason"], each["reviewed"])
        for each in found.get("skip", [])
        for resource in each["resources"]
    ]
