"""What `audobon doctor` prints, and how it ends."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from audobon.cli.doctor import _print_table, doctor
from audobon.compute.hardware import Finding, examine
from audobon.compute.tuning import Decision, Tuning, load_tuning, machine_digest, save_tuning
from audobon.errors import Misconfigured
from audobon.models.devices import Choice, Device
from audobon.models.store import runtime_version

FINDINGS = [
    Finding("memory", "70.0 GB", 7e10, "bytes", "recommended", "Several models can stay loaded."),
    Finding("disk read speed", "90 MB/s [sda]", 90.0, "MB/s", "below minimum", "Books open slowly."),
]


DEVICE_LINE = "models run on the processor: no CUDA here\n"
NO_TUNING = "none; `audobon doctor --tune` measures what this machine does best"
SCRUB_LINE = "scrub: all that is kept was written or proved within 30 days"
NO_BACKUPS = "backups: none; begin with: audobon backup add FOLDER"


@pytest.fixture(autouse=True)
def made_up_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audobon.compute.hardware.examine", lambda folder: FINDINGS)
    monkeypatch.setattr("audobon.models.device_trial.prove", lambda wanted: Choice(reason="no CUDA here"))


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
        f"{DEVICE_LINE}"
        f"tuning: {NO_TUNING}\n"
        "tiers: nearline and archive lie on the disk of the rest, so moving there frees no room;"
        " storage.nearline and storage.archive can name another\n"
        f"{NO_BACKUPS}\n"
        f"{SCRUB_LINE}\n"
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
        "device": {
            "device": {"kind": "cpu", "index": 0, "name": "the processor", "total_bytes": 0},
            "reason": "no CUDA here",
            "is_fallback": False,
            "limit_bytes": 0,
        },
        "tuning": None,
        "tuning_problem": NO_TUNING,
        "folder_is_open_to_others": False,
        "tiers_on_the_same_disk": ["nearline", "archive"],
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


TUNED = Tuning(
    machine=machine_digest(),
    runtime=runtime_version(),
    measured_at=0.0,
    threads=2,
    decisions=(
        Decision(
            subject="threads",
            default="4 threads",
            chosen="2 threads",
            seconds={"4 threads": 1.25, "2 threads": 1.0},
            unit="a page",
            gain=0.2,
            rounds=5,
            reason="changed: 2 threads is 20% faster",
        ),
        Decision(subject="cores", default="any core", chosen="any core", reason="kept, not measured"),
    ),
)


class MadeUpTuner:
    """Finds the same at once."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None]) -> None:
        tell(f"measuring with {folder.name}")

    def run(self) -> Tuning:
        return TUNED


@pytest.fixture
def made_up_tuner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audobon.compute.tuning_trials.Tuner", MadeUpTuner)
    monkeypatch.setattr("audobon.models.preparing.prepare_apart", lambda card, folder: None)


@pytest.mark.usefixtures("made_up_tuner")
def test_tuning_shows_every_decision_keeps_it_and_tells_how_to_go_back(tmp_path: Path) -> None:
    result = run(tmp_path, "--tune")
    assert result.exit_code == 0
    assert result.stdout == (
        "threads  2 threads           changed: 2 threads is 20% faster\n"
        "                             4 threads 1.25 s, 2 threads 1 s for a page; medians of 5 rounds\n"
        "cores    any core            kept, not measured\n"
    )
    assert result.stderr == (
        "preparing waifu2x-upconv7-x2\n"
        "measuring for a minute at most; other work on this machine blurs the figures\n"
        "  measuring with models\n"
        f"kept in {tmp_path / 'tuning.json'}; `audobon doctor --forget-tuning` goes back to the defaults\n"
    )
    assert load_tuning(tmp_path) == TUNED


@pytest.mark.usefixtures("made_up_tuner")
def test_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, "--tune", "--dry-run")
    assert result.stderr.endswith("a dry run: nothing was kept\n")
    assert load_tuning(tmp_path) == Tuning()


@pytest.mark.usefixtures("made_up_tuner")
def test_tuning_can_be_told_as_json(tmp_path: Path) -> None:
    assert msgspec.json.decode(run(tmp_path, "--tune", "--json").stdout, type=Tuning) == TUNED


def test_a_tuning_in_force_is_shown_by_what_it_changes_and_can_be_forgotten(tmp_path: Path) -> None:
    save_tuning(tmp_path, TUNED)
    shown = run(tmp_path).output
    assert "\ntuning of " in shown
    assert ": threads: 2 threads\n" in shown
    assert msgspec.json.decode(run(tmp_path, "--json").output)["tuning"]["threads"] == 2

    result = run(tmp_path, "--forget-tuning")
    assert (result.exit_code, result.stderr) == (0, "the tuning is forgotten; the defaults hold\n")
    assert f"tuning: {NO_TUNING}\n" in run(tmp_path).output
    assert run(tmp_path, "--forget-tuning").stderr == "there was no tuning\n"


def test_a_tuning_that_kept_every_default_says_so(tmp_path: Path) -> None:
    save_tuning(tmp_path, msgspec.structs.replace(TUNED, threads=0, decisions=TUNED.decisions[1:]))
    assert ": the defaults are best here\n" in run(tmp_path).output


def test_a_dry_run_of_nothing_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "--dry-run")
    assert result.exit_code == 2
    assert "--dry-run goes with --tune" in result.output


def test_the_device_is_the_one_that_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDOBON_MODELS_DEVICE", "cuda")
    monkeypatch.setattr(
        "audobon.models.device_trial.prove",
        lambda wanted: Choice(Device("cuda", 0, f"NVIDIA {wanted}", 8 << 30), limit_bytes=1 << 30),
    )
    assert "models run on NVIDIA cuda\n" in run(tmp_path).output
