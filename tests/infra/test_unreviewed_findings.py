"""checkov on the HCL and on the plans: nothing found that nobody looked at, and nothing left unread."""

from concurrent.futures import Future
from datetime import date
from pathlib import Path

import pytest
from scanner import Scan, scan, skips

pytestmark = pytest.mark.infra

# Fewer than these would mean that something is not looked at any more.
LEAST_IN_HCL = 150
LEAST_IN_PLAN = 300

WHERE = ["hcl", "production"]


@pytest.mark.parametrize("where", WHERE)
def test_every_finding_was_looked_at(scans: dict[str, Future[Scan]], where: str) -> None:
    reviewed = {skip.finding for skip in skips()}

    assert {key: what for key, what in scans[where].result().failed.items() if key not in reviewed} == {}


@pytest.mark.parametrize("where", WHERE)
def test_everything_was_read(scans: dict[str, Future[Scan]], where: str) -> None:
    done = scans[where].result()

    assert done.unread_files == 0
    assert done.resources >= {"hcl": LEAST_IN_HCL, "production": LEAST_IN_PLAN}[where]
    assert done.passed > done.resources / 2


@pytest.mark.parametrize("where", WHERE)
def test_nothing_is_silenced_in_the_hcl_itself(scans: dict[str, Future[Scan]], where: str) -> None:
    assert scans[where].result().silenced == set()


def test_every_review_has_a_reason_and_a_day_and_is_still_needed(scans: dict[str, Future[Scan]]) -> None:
    found = {finding for where in WHERE for finding in scans[where].result().failed}

    assert [skip for skip in skips() if len(skip.reason) < 20 or skip.reviewed > date.today()] == []
    assert {skip.finding for skip in skips()} - found == set()


def test_a_bucket_open_to_the_world_is_found(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        'resource "google_storage_bucket_iam_member" "x" {\n  bucket = "x"\n  role = "x"\n'
        '  member = "allUsers"\n}\n',
        encoding="utf-8",
    )

    assert {finding.check for finding in scan("--directory", str(tmp_path)).failed} == {"CKV_GCP_28"}


def test_a_file_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('resource "google_storage_bucket" "x" {\n', encoding="utf-8")

    assert scan("--directory", str(tmp_path), "--framework", "terraform").unread_files == 1
