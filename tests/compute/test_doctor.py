"""What `audobon doctor` prints, and how it ends."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from audobon.cli.doctor import _print_table, doctor
from audobon.compute.hardware import Finding, examine
from audobon.errors import Misconfigured

FINDINGS = [
    Finding("memory", "70.0 GB", 7e10, "bytes", "recommended", "Several models can stay loaded."),
    Finding("disk read speed", "90 MB/s [sda]", 90.0, "MB/s", "below minimum", "Books open slowly."),
]


@pytest.fixture(autouse=True)
def made_up_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audobon.compute.hardware.examine", lambda folder: FINDINGS)


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(doctor, ["--folder", str(folder), *options])


def test_away_from_a_terminal_every_finding_is_two_aligned_lines_and_the_last_line_sums_up(
    tmp_path: Path,
) -> None:
    result = run(tmp_path)
    assert result.exit_code == 0
    assert result.output == (
        "memory           recommended    70.0 GB (asked for: 32 GB, 64 GB recommended)\n"
        "                                Several models can stay loaded.\n"
        "disk read speed  below minimum  90 MB/s [sda] (asked for: 600 MB/s)\n"
        "                                Books open slowly.\n"
        "Audobon runs on this machine; 1 of 2 parts are less than asked for, so it is slower.\n"
    )


def test_json_holds_every_field_of_every_finding(tmp_path: Path) -> None:
    result = run(tmp_path, "--json")
    assert result.exit_code == 0
    assert msgspec.json.decode(result.output) == {
        "folder": str(tmp_path),
        "findings": [
            msgspec.structs.asdict(finding) | {"minimum": minimum}
            for finding, minimum in zip(FINDINGS, ["32 GB, 64 GB recommended", "600 MB/s"], strict=True)
        ],
    }


def test_every_part_of_a_real_machine_says_what_is_asked_for(tmp_path: Path) -> None:
    # `examine` was taken over by name, before it was replaced.
    assert all(finding.minimum for finding in examine(tmp_path))


def test_strict_prints_first_and_then_ends_as_misconfigured(tmp_path: Path) -> None:
    result = run(tmp_path, "--strict")
    assert isinstance(result.exception, Misconfigured)
    assert result.exception.message == "this machine falls short of the minimum in: disk read speed"
    assert result.output.startswith("memory ")


def test_strict_is_content_with_a_fit_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audobon.compute.hardware.examine", lambda folder: FINDINGS[:1])
    result = run(tmp_path, "--strict")
    assert result.exit_code == 0
    assert result.output.endswith("\nAudobon runs on this machine as it should.\n")


def test_the_table_for_a_terminal_shows_brackets_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _print_table(tmp_path, FINDINGS)
    shown = capsys.readouterr().out
    assert "90 MB/s [sda] (asked for: 600 MB/s)" in shown
    assert "Several models can stay loaded." in shown
    assert "below minimum" in shown
