"""Everything of a person, handed out."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from data_desk import PNG, DataDesk, as_json

from audobon.data.checking import check_export
from audobon.errors import OutputExists, SubjectNotFound

HOSTILE = "../../out/\x1b[31mpage.png"


def export(desk: DataDesk, target: Path, name: str = "ana") -> None:
    desk.room.export(name, target, on_file=lambda count: None)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_all_of_one_person_and_nothing_of_another_is_written(desk: DataDesk, tmp_path: Path) -> None:
    job = desk.job("ana", {"p1.png": PNG + b"one", HOSTILE: PNG + b"two"})
    desk.job("ben", {"secret.png": b"of ben"})

    export(desk, tmp_path / "out")

    folder = f"jobs/{job}"
    assert files_in(tmp_path / "out") == sorted(
        [
            "README.txt",
            "SHA256SUMS",
            f"{folder}/events.jsonl",
            f"{folder}/job.json",
            f"{folder}/originals/out/_[31mpage.png",
            f"{folder}/originals/p1.png",
            f"{folder}/results/out/_[31mpage.png",
            f"{folder}/results/p1.png",
            f"{folder}/tasks.jsonl",
            "log.jsonl",
            "manifest.json",
            "subject.json",
            "tasks.jsonl",
        ]
    )
    told = as_json(tmp_path / "out" / folder / "job.json")
    assert isinstance(told, dict)
    assert (told["source"], told["settings"]) == ("/comics/ana/secret.cbz", {"scale": 2})
    assert [(each["name"], each["original"]) for each in told["entries"]] == [
        ("p1.png", f"{folder}/originals/p1.png"),
        (HOSTILE, f"{folder}/originals/out/_[31mpage.png"),
    ]
    assert (tmp_path / "out" / folder / "originals/p1.png").read_bytes() == PNG + b"one"
    assert (tmp_path / "out" / folder / "results/p1.png").read_bytes() == PNG + b"made of it0"
    assert '"findings":["a balloon"]' in (tmp_path / "out" / folder / "tasks.jsonl").read_text()
    assert '"page":"p1.png"' in (tmp_path / "out" / "log.jsonl").read_text()
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"ben" not in everything


def test_the_sums_are_what_sha256sum_checks(desk: DataDesk, tmp_path: Path) -> None:
    desk.job("ana", {"a b.png": PNG + b"one"})

    export(desk, tmp_path / "out")

    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=tmp_path / "out", check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_check_finds_an_export_whole(desk: DataDesk, tmp_path: Path, name: str) -> None:
    desk.job("ana", {"p1.png": PNG + b"one"})

    export(desk, tmp_path / name)

    checked = check_export(tmp_path / name)
    assert (checked.files, checked.faults) == (9, [])


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(PNG + b"onf"), "is not as it was written"),
        (lambda path: path.write_bytes(PNG), "has 8 bytes, not 11"),
        (lambda path: path.with_name("more").touch(), "is not in the manifest"),
    ],
)
def test_a_check_notices_every_change(desk: DataDesk, tmp_path: Path, harm: object, fault: str) -> None:
    job = desk.job("ana", {"p1.png": PNG + b"one"})
    export(desk, tmp_path / "out")

    assert callable(harm)
    harm(tmp_path / "out" / "jobs" / job / "originals" / "p1.png")

    (found,) = check_export(tmp_path / "out").faults
    assert fault in found


def test_what_is_there_is_not_replaced_and_nothing_is_left_half_done(desk: DataDesk, tmp_path: Path) -> None:
    job = desk.job("ana", {"p1.png": PNG + b"one"})
    (tmp_path / "taken.zip").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        export(desk, tmp_path / "taken.zip")
    assert (tmp_path / "taken.zip").read_bytes() == b"mine"

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    before = set(tmp_path.iterdir())
    for name in ("half", "half.zip"):
        with pytest.raises(KeyboardInterrupt):
            desk.room.export("ana", tmp_path / name, on_file=stop)
    assert set(tmp_path.iterdir()) == before
    assert job


def test_an_export_is_of_one_state_though_others_write(desk: DataDesk, tmp_path: Path) -> None:
    first = desk.job("ana", {"p1.png": PNG + b"one"})
    later: list[str] = []

    def write(count: int) -> None:
        if not later:
            later.append(desk.job("ana", {"p2.png": PNG + b"two"}))

    desk.room.export("ana", tmp_path / "out.zip", on_file=write)

    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        jobs = {name.split("/")[1] for name in archive.namelist() if name.startswith("jobs/")}
    assert jobs == {first}


def test_what_is_kept_no_longer_is_named(desk: DataDesk, tmp_path: Path) -> None:
    desk.job("ana", {"p1.png": PNG + b"one"}, state="done")
    desk.app.storage.sweep(lambda: set(), broken_before=0)

    export(desk, tmp_path / "out")

    assert "p1.png" in (tmp_path / "out" / "README.txt").read_text().split("kept no longer:")[1]


def test_nobody_of_that_name_is_told(desk: DataDesk, tmp_path: Path) -> None:
    with pytest.raises(SubjectNotFound):
        export(desk, tmp_path / "out", "zoe")
