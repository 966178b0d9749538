"""A user's file is taken in only after processes with limits checked, tried and measured it."""

import gzip
import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import onnx
import pytest
from made_models import doubler, model_of, same, write
from onnx import TensorProto, helper, numpy_helper
from own_model_files import own_card

from audobon.errors import AudobonError, Denied, DiskFull, Exhausted, NotFound, UnsafeModel
from audobon.models.admit_messages import Answer, Ask
from audobon.models.admitting import Admitted, admit
from audobon.models.brought_card import read_brought_card
from audobon.models.card import parse_card
from audobon.models.card_text import card_text
from audobon.models.foreign_files import foreign_kind
from audobon.models.own_cards import graph_path

MOST_BYTES = 50 << 20


class Touch:
    """Would make a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._path),)


def admitted(
    folder: Path, model: onnx.ModelProto | bytes, *, seconds: float = 120.0, **card: object
) -> Admitted:
    file, text = write(folder, model, **card)
    (folder / "taken").mkdir()
    return admit(
        file,
        read_brought_card(text),
        folder / "taken",
        most_bytes=MOST_BYTES,
        tell=lambda _words: None,
        seconds=seconds,
    )


def refusal(folder: Path, model: onnx.ModelProto | bytes, **further: object) -> UnsafeModel:
    with pytest.raises(UnsafeModel) as caught:
        admitted(folder, model, **further)  # type: ignore[arg-type]
    caught.value.message = caught.value.message.removeprefix(f"{folder / 'model.onnx'}: ")
    assert "Traceback" not in caught.value.message
    return caught.value


def test_a_sound_model_gets_a_whole_card(tmp_path: Path) -> None:
    model = doubler()

    found = admitted(tmp_path, model)

    card, data = found.card, model.SerializeToString()
    shape = card.picture
    assert shape is not None
    assert found.notes == ()
    assert (card.graph_sha256, card.graph_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (shape.tile_exact, shape.tile_px, shape.tiles_px) == (True, 192, (48, 64, 96, 128, 192))
    for footprint in (card.memory.fast, card.memory.lean):
        assert sorted(footprint.peak_bytes_by_pixels) == [(48 + 32) ** 2, (192 + 32) ** 2]
        assert all(1 << 20 < peak < 1 << 28 for peak in footprint.peak_bytes_by_pixels.values())
        assert footprint.seconds_per_megapixel > 0
    assert card.golden.output_shape == (1, 3, 96, 128)
    assert parse_card(card_text(card)) == card
    assert graph_path(tmp_path / "taken", card).read_bytes() == data


def test_a_model_that_looks_at_the_whole_page_gets_tiles_of_one_size(tmp_path: Path) -> None:
    found = admitted(tmp_path, doubler(is_exact=False), tile_px=64)

    shape = found.card.picture
    assert shape is not None
    assert (shape.tile_exact, shape.tile_px, shape.tiles_px) == (False, 64, (64,))
    assert found.notes == (
        "its pixels depend on how a page is cut, so tiles are always 64 px;"
        " padding_px of at least what it looks at around a pixel may change that",
    )


def test_padding_that_is_too_small_shows_as_a_trace_of_the_tiles(tmp_path: Path) -> None:
    shape = admitted(tmp_path, doubler(), padding_px=1, tile_px=64).card.picture

    assert shape is not None
    assert not shape.tile_exact


def test_a_claim_that_was_not_made_is_not_found_true(tmp_path: Path) -> None:
    found = admitted(tmp_path, doubler(), tile_exact=False, tile_px=64)

    assert found.card.picture is not None
    assert (found.card.picture.tile_exact, found.notes) == (False, ())


def archive(folder: Path) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", pickle.dumps(Touch(folder / "owned")))
        packed.writestr("archive/bomb", bytes(20 << 20))
    return target.getvalue()


def safetensors() -> bytes:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + bytes(4)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_and_never_opened(tmp_path: Path, protocol: int) -> None:
    error = refusal(tmp_path, pickle.dumps(Touch(tmp_path / "owned"), protocol))

    assert error.message == (
        f"{tmp_path / 'model.onnx'} is a Python pickle, as PyTorch's .pth, .pt and .ckpt are:"
        " opening one runs code"
    )
    assert not (tmp_path / "owned").exists()


def test_a_pickle_that_does_not_say_so_is_refused_like_any_bytes(tmp_path: Path) -> None:
    error = refusal(tmp_path, pickle.dumps(Touch(tmp_path / "owned"), 0))

    assert error.message == "it is not ONNX, or only a part of an ONNX file"
    assert not (tmp_path / "owned").exists()


def test_other_formats_are_named_with_the_reason(tmp_path: Path) -> None:
    error = refusal(tmp_path, archive(tmp_path))
    assert error.message.endswith(
        "is a ZIP archive, as PyTorch's and Keras's files are: it can hold a pickle,"
        " and opening one runs code"
    )
    assert not (tmp_path / "owned").exists()
    kinds = {
        b"GGUF\x03\0\0\0": "a GGUF file",
        safetensors(): "a safetensors file",
        gzip.compress(b"x"): "packed with gzip",
        b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras's .h5 are",
        b"\x1c\0\0\0TFL3": "a TensorFlow Lite model",
        b"\x1c\0\0\0ORTM": "a model in ONNX Runtime's own format",
        b"7767517\n1 1\n": "an ncnn graph",
        b"\x7fELF\x02": "a program",
        b"#!/bin/sh\n": "a script",
    }
    assert {head: kind.what for head in kinds if (kind := foreign_kind(head)) is not None} == kinds
    assert foreign_kind(doubler().SerializeToString()) is None


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    _, text = write(tmp_path, doubler())
    card = read_brought_card(text)
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(2000))

    def reason(name: str) -> str:
        with pytest.raises((UnsafeModel, NotFound)) as caught, TemporaryDirectory(dir=tmp_path) as folder:
            admit(tmp_path / name, card, Path(folder), most_bytes=1000, tell=lambda _words: None)
        return str(caught.value).removeprefix(str(tmp_path))

    assert [reason(name) for name in ("empty", "pipe", "large", ".")] == [
        "/empty is empty",
        "/pipe is no file",
        "/large is larger than the 0 MB a model may have",
        " is no file",
    ]
    assert reason("none").startswith("no such file")


def test_a_link_to_external_data_is_refused_with_the_data(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8 * 27 * 4))
    (tmp_path / "weights.bin").symlink_to(tmp_path / "secret")
    model = doubler()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")

    assert refusal(tmp_path, model).message == "its tensor first lies in another file"


def swelling(sides: list[int]) -> onnx.ModelProto:
    """Return a model of a few bytes that asks for a tensor of these sides."""
    shape = numpy_helper.from_array(np.array(sides, np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Add", ["picture", "most"], ["answer"]),
    ]
    return model_of(nodes, [shape])


def test_a_few_bytes_that_ask_for_a_tebibyte_are_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, swelling([1 << 19, 1 << 19]), task="clean", scale=1)

    assert "alloc" in error.message or "memory" in error.message or "brought down" in error.message


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    error = refusal(tmp_path, doubler(), seconds=0.01)

    assert error.message.startswith("it took longer than 0.01 seconds")


@pytest.mark.parametrize(
    ("act", "code", "kind"),
    [
        ("prepare", "disk_full", DiskFull),
        ("prepare", "denied", Denied),
        ("prepare", "corrupt_model", UnsafeModel),
        ("prove", "exhausted", UnsafeModel),
        ("weigh", "exhausted", Exhausted),
    ],
)
def test_what_went_wrong_is_told_as_the_files_fault_unless_it_is_the_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, code: str, kind: type[AudobonError]
) -> None:
    from audobon.models import admitting

    trials = admitting._Trials(tmp_path / "x.onnx", own_card(b"x"), tmp_path, 1.0)
    monkeypatch.setattr(trials, "_have_answered", lambda _ask: Answer(code=code, message="so it is"))

    with pytest.raises(AudobonError) as caught:
        trials.ask(act)

    assert type(caught.value) is kind
    assert caught.value.message == f"{tmp_path / 'x.onnx'}: so it is"


def test_tiles_too_large_for_the_machine_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audobon.models import admitting

    have_answered = admitting._Trials._have_answered

    def too_much_above_100(self: admitting._Trials, ask: Ask) -> Answer:
        if ask.act == "weigh" and ask.side > 100:
            return Answer(code="exhausted", message="memory ran out")
        return have_answered(self, ask)

    monkeypatch.setattr(admitting._Trials, "_have_answered", too_much_above_100)

    found = admitted(tmp_path, doubler())

    shape = found.card.picture
    assert shape is not None
    assert (shape.tile_px, shape.tiles_px) == (96, (48, 64, 96))
    assert found.notes == ("larger tiles than 96 px took more memory or time than a trial may take",)


def test_a_model_that_answers_in_another_shape_is_told_what_would_fit(tmp_path: Path) -> None:
    error = refusal(tmp_path, doubler(), scale=4)

    assert error.message == (
        "it answers 1×3×48×64 with 1×3×96×128; its card says 1×3×192×256"
        ' (scale = 4, edges = "own", padding_px = 16)'
    )
    assert error.hint == 'scale = 2, edges = "own" would fit'


def test_a_model_that_eats_its_edges_is_told_so(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.full((3, 3, 7, 7), 1 / 147, np.float32), "w")
    model = model_of([helper.make_node("Conv", ["picture", "w"], ["answer"])], [weights])

    error = refusal(tmp_path, model, task="clean", scale=1)
    assert error.hint == 'edges = "replicate", padding_px = 3 would fit'

    (tmp_path / "again").mkdir()
    card = admitted(tmp_path / "again", model, task="clean", scale=1, edges="replicate", padding_px=3).card
    assert card.picture is not None
    assert card.picture.tile_exact


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (
            helper.make_node("Mul", ["picture", "x"], ["answer"]),
            "it answers with values between 0.00193 and 255",
        ),
        (helper.make_node("Log", ["below"], ["answer"]), "it answers with numbers that are not finite"),
    ],
    ids=["bytes", "not a number"],
)
def test_answers_no_page_can_be_made_of_are_refused(tmp_path: Path, node: object, reason: str) -> None:
    numbers = [numpy_helper.from_array(np.float32(255), "x"), numpy_helper.from_array(np.float32(0), "zero")]
    nodes = [helper.make_node("Mul", ["picture", "zero"], ["below"]), node]

    error = refusal(tmp_path, model_of(nodes, numbers), task="clean", scale=1)

    assert error.message.startswith(reason)


def test_a_size_written_into_the_graph_is_found_by_trying(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 3, 48, 64], np.int64), "shape")
    model = model_of([helper.make_node("Reshape", ["picture", "shape"], ["answer"])], [shape])

    error = refusal(tmp_path, model, task="clean", scale=1)

    assert error.message.startswith("it fails on a picture of 65×51")


def test_a_change_to_the_copy_is_seen_before_it_is_read(tmp_path: Path) -> None:
    from audobon.models.sources import read_graph

    found = admitted(tmp_path, model_of([same()]), task="clean", scale=1)
    file = graph_path(tmp_path / "taken", found.card)
    file.write_bytes(doubler().SerializeToString()[: found.card.graph_bytes])

    with pytest.raises(Exception, match="is not the file doubler was admitted with"):
        read_graph(msgspec.structs.replace(found.card, file=str(file)))
