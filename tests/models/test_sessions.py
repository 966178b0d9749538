"""Sessions: the same answers on every device that is here, and exact calls for those that are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_cards import GIB, RecordedSessions

from audobon.errors import CorruptModel, Exhausted, Misconfigured, Unavailable
from audobon.models.card import Card
from audobon.models.cuda import CPU, cuda_providers
from audobon.models.devices import PROCESSOR, Choice, Device, Devices
from audobon.models.golden import check
from audobon.models.preparing import prepare_apart
from audobon.models.runtime import session_options
from audobon.models.sessions import TINY_GRAPH, Session, trial
from audobon.models.store import is_intact, is_prepared, prepared_path

ON_A_CARD = Choice(Device("cuda", 1, "NVIDIA Example", 8 * GIB), limit_bytes=2 * GIB)
NOT_STARTED = (
    "ONNX Runtime could not start CUDA: its libraries (CUDA and cuDNN) are missing, or of versions that it"
    " was not made for"
)


def choices_here() -> list[Any]:
    """Return a choice for every device of this machine; those on a card are marked `gpu`."""
    devices = Devices()
    return [
        pytest.param(
            Choice(device, limit_bytes=0 if device == PROCESSOR else GIB),
            id=device.label,
            marks=[] if device == PROCESSOR else [pytest.mark.gpu],
        )
        for device in devices.found()
    ]


def options() -> Any:
    return session_options(threads=1, arena=True, optimise=False)


@pytest.fixture
def graph(default_card: Card, models_folder: Path) -> Path:
    if not is_prepared(default_card, models_folder):
        prepare_apart(default_card, models_folder)
    return prepared_path(default_card, models_folder)


@pytest.fixture
def graph_for(default_card: Card, models_folder: Path) -> Callable[[Choice], Path]:
    """Prepare the default model for the device of a choice."""

    def prepared(choice: Choice) -> Path:
        kind = choice.device.kind
        if not is_prepared(default_card, models_folder, kind):
            prepare_apart(default_card, models_folder, kind)
        return prepared_path(default_card, models_folder, kind)

    return prepared


@pytest.mark.parametrize("choice", choices_here())
class TestEveryDeviceHere:
    def test_it_runs_the_smallest_graph(self, choice: Choice) -> None:
        assert trial(choice) is None

    def test_it_gives_the_golden_result(
        self, choice: Choice, graph_for: Callable[[Choice], Path], default_card: Card
    ) -> None:
        session = Session(graph_for(choice), options(), choice, lean=False)

        assert check(default_card, session.run) <= default_card.golden.tolerance

    def test_answers_stay_as_they_were_while_others_are_given(self, choice: Choice) -> None:
        session = Session(TINY_GRAPH, options(), choice, lean=True)
        inputs = [np.array(row, np.float32) for row in ([1, -1], [-2, 2], [3, 3], [4, -4, 5], [-1, 6, 0])]

        answers = [session.run(one) for one in inputs]

        assert [one.tolist() for one in answers] == [[1, 0], [0, 2], [3, 3], [4, 0, 5], [0, 6, 0]]

    def test_a_part_of_a_larger_array_is_taken_as_it_is_seen(self, choice: Choice) -> None:
        session = Session(TINY_GRAPH, options(), choice, lean=True)

        assert session.run(np.arange(8, dtype=np.float32)[::2]).tolist() == [0, 2, 4, 6]

    def test_an_input_the_model_cannot_take_is_told_with_its_shape(self, choice: Choice) -> None:
        session = Session(TINY_GRAPH, options(), choice, lean=True)

        with pytest.raises(CorruptModel, match=r"the model failed on an input of shape \(2, 2\)"):
            session.run(np.zeros((2, 2), np.float32))


def test_bound_runs_give_what_plain_runs_give(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls made for a card, on the processor: the real library takes them, and the bits are the same."""
    monkeypatch.setattr("audobon.models.sessions.CUDA", CPU)
    monkeypatch.setattr("audobon.models.sessions.cuda_providers", lambda *_, **__: [CPU])
    bound = Session(graph, options(), ON_A_CARD, lean=False)
    plain = Session(graph, options(), Choice(), lean=False)
    random = np.random.default_rng(1)
    inputs = [random.random((1, 3, side, 40), dtype=np.float32) for side in (40, 40, 40, 52, 52, 40)]

    answers = [bound.run(one) for one in inputs]

    for one, answer in zip(inputs, answers, strict=True):
        np.testing.assert_array_equal(answer, plain.run(one))


def test_a_card_gets_its_options_its_bindings_and_no_silent_way_out() -> None:
    record = RecordedSessions()
    session = Session(Path("model.onnx"), options(), ON_A_CARD, lean=False, opener=record)
    row, longer = np.ones(2, np.float32), np.ones(3, np.float32)

    answers = [session.run(row), session.run(row), session.run(longer), session.run(longer * 2)]

    assert [one.tolist() for one in answers] == [[2, 2], [2, 2], [2, 2, 2], [4, 4, 4]]
    providers = cuda_providers(1, limit_bytes=2 * GIB, lean=False)
    first = [("bind output", "out", "cpu"), ("run bound",)]
    assert record.calls == [
        ("open", "model.onnx", providers, {"enable_fallback": 0}),
        ("bind input", "in", (2,)),
        *first,
        ("bind input", "in", (2,)),
        ("bind output", "out", "cpu", 0, np.float32, (2,)),
        ("run bound",),
        ("bind input", "in", (3,)),
        *first,
        ("bind input", "in", (3,)),
        ("bind output", "out", "cpu", 0, np.float32, (3,)),
        ("run bound",),
    ]


def test_the_processor_gets_no_options_and_no_bindings() -> None:
    record = RecordedSessions()

    Session(Path("model.onnx"), options(), Choice(), lean=True, opener=record).run(np.ones(2, np.float32))

    assert record.calls == [("open", "model.onnx", [CPU], {}), ("run", {"in": (2,)})]


def test_cuda_that_stayed_away_without_a_word_is_noticed() -> None:
    record = RecordedSessions(starts=False)

    with pytest.raises(Misconfigured) as caught:
        Session(Path("model.onnx"), options(), ON_A_CARD, lean=True, opener=record)

    assert caught.value.message == NOT_STARTED
    assert trial(ON_A_CARD, opener=record) == NOT_STARTED


def test_a_card_that_refuses_the_model_says_why() -> None:
    record = RecordedSessions(fails_open="CUDA failure 100: no device\nand more")

    with pytest.raises(Unavailable) as caught:
        Session(Path("model.onnx"), options(), ON_A_CARD, lean=True, opener=record)

    assert caught.value.message == "NVIDIA Example did not take the model: CUDA failure 100: no device"


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (
            "BFCArena: Failed to allocate memory for requested buffer of size 99",
            Exhausted,
            "memory ran out for an input of shape (2,) on NVIDIA Example",
        ),
        (
            "CUDA failure 2: out of memory",
            Exhausted,
            "memory ran out for an input of shape (2,) on NVIDIA Example",
        ),
        ("CUDNN failure 5000: gone", Unavailable, "NVIDIA Example failed: CUDNN failure 5000: gone"),
        ("bad shape", CorruptModel, "the model failed on an input of shape (2,): bad shape"),
    ],
)
def test_a_run_that_fails_on_a_card_is_told_for_what_it_is(
    failure: str, kind: type[Exception], words: str
) -> None:
    session = Session(
        Path("model.onnx"), options(), ON_A_CARD, lean=True, opener=RecordedSessions(fails_run=failure)
    )

    with pytest.raises(kind) as caught:
        session.run(np.ones(2, np.float32))

    assert str(caught.value) == words


def test_a_card_that_counts_wrongly_is_not_trusted() -> None:
    assert trial(ON_A_CARD, opener=RecordedSessions()) == "NVIDIA Example gives wrong answers"


def test_what_is_prepared_for_a_card_fits_every_device_and_lies_apart(
    default_card: Card, models_folder: Path
) -> None:
    prepare_apart(default_card, models_folder, "cuda")
    if not is_prepared(default_card, models_folder):
        prepare_apart(default_card, models_folder)

    graph = prepared_path(default_card, models_folder, "cuda")
    assert graph != prepared_path(default_card, models_folder)
    assert is_intact(default_card, models_folder, "cuda")
    # No operator of the processor's own layout is in it, which no card could run; only the list of sets.
    assert prepared_path(default_card, models_folder).read_bytes().count(b"com.microsoft.nchwc") > 1
    assert graph.read_bytes().count(b"com.microsoft.nchwc") == 1
    session = Session(graph, options(), Choice(), lean=False)
    assert check(default_card, session.run) <= default_card.golden.tolerance
