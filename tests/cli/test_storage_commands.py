"""`audobon storage put`, `usage`, `delete`: what a person sees."""

import errno
import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audobon.app import open_app
from audobon.cli.main import audobon
from audobon.errors import Denied, InvalidInput, SubjectErased
from audobon.storage.foretelling import Foretelling
from audobon.storage.putting import Batch


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", str(tmp_path / "data"))
    return tmp_path


def command(*words: object) -> Result:
    return CliRunner().invoke(audobon, ["storage", *map(str, words)])


def test_a_folder_is_put_once_however_often(tmp_path: Path) -> None:
    folder = tmp_path / "comic"
    (folder / "inner").mkdir(parents=True)
    (folder / "b.txt").write_bytes(b"small")
    (folder / "inner" / "large.psd").write_bytes(os.urandom(1_500_000))
    (folder / "a.txt").write_bytes(b"small too")
    (folder / "inner" / "link").symlink_to("/etc/hostname")
    planned = command("put", "--dry-run", folder)
    done = command("put", folder)
    assert (planned.exit_code, done.exit_code) == (0, 0)
    names = [line.split("  ")[1] for line in done.stdout.splitlines()]
    assert names == [str(folder / name) for name in ("a.txt", "b.txt", "inner/large.psd")]
    assert done.stderr == "kept 3 files, 1.5 MB\n"
    (folder / "new.txt").write_bytes(b"new")
    packs = sorted((tmp_path / "data" / "blobs").rglob("*.pack"))
    again = command("put", folder)
    assert again.stderr == "kept 1 file, 0.0 MB; 3 files there already\n"
    assert set(done.stdout.splitlines()) < set(again.stdout.splitlines())
    assert command("put", "--dry-run", folder).stdout == again.stdout
    assert sorted((tmp_path / "data" / "blobs").rglob("*.pack")) == packs
    written = (tmp_path / "data" / "logs" / "audobon.jsonl").read_text()
    assert [json.loads(line)["files"] for line in written.splitlines() if "files kept" in line] == [3, 1]


def test_a_folder_that_did_not_change_is_not_read_again_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "comic"
    folder.mkdir()
    (folder / "page.txt").write_bytes(b"page")
    monkeypatch.setattr("audobon.storage.seen_files.utc_now", lambda: time.time() + 60)
    first = command("put", folder)

    def refuse(*_: object, **options: object) -> str:
        raise Denied("a file was read")

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "put_file", refuse)
        again = command("put", folder)
        assert (again.exit_code, again.stdout) == (0, first.stdout)
        assert isinstance(command("put", "--reread", folder).exception, Denied)
    with monkeypatch.context() as patch:
        patch.setattr(Foretelling, "_key_of", refuse)
        planned = command("put", "--dry-run", folder)
        assert (planned.exit_code, planned.stdout) == (0, first.stdout)
        assert isinstance(command("put", "--dry-run", "--reread", folder).exception, Denied)
    assert command("put", "--reread", folder).stdout == first.stdout


def test_a_folder_that_cannot_be_listed_is_not_left_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "comic" / "inner"
    inner.mkdir(parents=True)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path) == inner:
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    refused = command("put", inner.parent)
    assert isinstance(refused.exception, Denied)
    assert str(refused.exception) == f"not allowed: {inner}: Permission denied"


def test_a_subject_is_named_by_its_id_as_well_and_never_made_of_an_erased_one(tmp_path: Path) -> None:
    file = tmp_path / "page.txt"
    file.write_bytes(b"page")
    assert command("put", "--subject", "The Heron", file).exit_code == 0
    keys = open_app().keys
    heron = keys.find_subject("The Heron").id
    assert command("put", "--subject", heron, file).exit_code == 0
    assert [each.name for each in keys.subjects()] == ["The Heron"]
    keys.erase(heron)
    refused = command("put", "--subject", heron, file)
    assert isinstance(refused.exception, SubjectErased)


def test_usage_by_tier_names_every_folder(tmp_path: Path) -> None:
    file = tmp_path / "page.txt"
    file.write_bytes(b"page")
    command("put", file)
    told = json.loads(command("usage", "--tiers", "--json").stdout)
    assert [(each["tier"], each["blobs"]) for each in told] == [
        ("standard", 1),
        ("nearline", 0),
        ("archive", 0),
    ]
    lines = command("usage", "--tiers").stdout.splitlines()
    assert len(lines) == 4
    assert lines[1].split()[-1] == str(tmp_path / "data" / "blobs")


def test_signs_that_stand_for_others_are_no_key(tmp_path: Path) -> None:
    file = tmp_path / "page.txt"
    file.write_bytes(b"page")
    key = command("put", file).stdout.split()[0]
    assert command("delete", "______").exit_code != 0
    assert command("delete", "%%%%%%").exit_code != 0
    assert isinstance(command("delete", key[:3]).exception, InvalidInput)
    assert command("stat", key[:7]).exit_code == 0
    assert command("delete", key[:7].upper()).exit_code == 0
