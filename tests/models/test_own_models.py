"""A model of one's own is there whole or not at all, and what was removed comes back."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen

import msgspec
import pytest
from own_model_files import bytes_of, own_card, publish

from audobon.errors import Conflict, CorruptModel, InvalidInput, ModelNotFound, UnknownOperation
from audobon.models import own_models as own_models_module
from audobon.models.card import built_in_names
from audobon.models.catalogue import all_cards, card_named, draft_card, known_names, use_own_models
from audobon.models.own_cards import own_folder
from audobon.models.own_models import OwnModels
from audobon.models.service import Models

StartPython = Callable[..., "Popen[str]"]
OLD, NEW = b"the old one", b"the new one, longer"


@pytest.fixture
def models_folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder's folder of prepared models, whose neighbours this process knows meanwhile."""
    folder = tmp_path / "data" / "models"
    use_own_models(folder)
    yield folder
    use_own_models(tmp_path / "nowhere" / "models")


@pytest.fixture
def own(models_folder: Path) -> OwnModels:
    return OwnModels(models_folder)


def visible(models_folder: Path) -> list[str]:
    """Return everything in the folder of own models that is not the lock."""
    folder = own_folder(models_folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != ".lock")


def test_an_added_model_is_known_by_name_beside_those_that_ship(own: OwnModels, models_folder: Path) -> None:
    assert known_names() == sorted(built_in_names())

    card = publish(own, OLD)

    file = own_folder(models_folder) / "sketch" / f"{card.graph_sha256[:16]}.onnx"
    found = card_named("sketch")
    assert (found.file, found.graph_sha256, found.source) == (str(file), card.graph_sha256, None)
    assert known_names() == [*sorted(built_in_names()), "sketch"]
    assert list(all_cards()) == known_names()
    assert visible(models_folder) == ["sketch", f"sketch/{file.name}", "sketch/card.toml"]


def test_models_lists_it_as_the_users_own(own: OwnModels, models_folder: Path) -> None:
    publish(own, OLD)

    last = Models(models_folder).list()[-1]

    assert (last.name, last.is_own, last.is_installed, last.is_prepared, last.fault) == (
        "sketch",
        True,
        True,
        False,
        None,
    )


def test_an_own_model_has_no_draft(own: OwnModels) -> None:
    publish(own, OLD)

    with pytest.raises(UnknownOperation, match="sketch has no draft"):
        draft_card("sketch")


def test_a_name_nobody_has_is_answered_with_the_users_own_names_as_well(own: OwnModels) -> None:
    publish(own, OLD)

    with pytest.raises(ModelNotFound) as caught:
        card_named("skecth")
    assert caught.value.hint == "did you mean sketch?"
    for name in ("../sketch", "sketch/../sketch", ".trash", ""):
        with pytest.raises(ModelNotFound):
            card_named(name)


def test_a_name_that_is_taken_needs_a_word(own: OwnModels, models_folder: Path) -> None:
    publish(own, OLD)

    with pytest.raises(Conflict, match="there is a model named sketch already"):
        publish(own, NEW)
    assert bytes_of(models_folder) == OLD
    assert publish(own, NEW, replace=True)
    assert bytes_of(models_folder) == NEW


def test_equal_weights_that_are_fed_another_way_are_another_model() -> None:
    first = own_card(OLD)
    assert first.picture is not None
    other = own_card(OLD, picture=own_card(OLD, task="clean").picture)
    turned = own_card(OLD, picture=msgspec.structs.replace(first.picture, colour="BGR"))
    assert first.identity == other.identity
    assert first.identity != turned.identity
    assert first.identity != own_card(NEW).identity


def test_a_removed_model_comes_back_as_it_was(own: OwnModels, models_folder: Path) -> None:
    card = publish(own, OLD)

    own.remove("sketch")

    assert bytes_of(models_folder) is None
    assert [(item.name, item.size_bytes > len(OLD)) for item in own.removed()] == [("sketch", True)]
    with pytest.raises(ModelNotFound) as caught:
        own.remove("sketch")
    assert caught.value.hint == "audobon models restore sketch, or audobon models remove --purge sketch"
    assert own.restore("sketch") is False
    assert card_named("sketch").identity == card.identity
    assert bytes_of(models_folder) == OLD
    assert own.removed() == []


def test_what_was_replaced_can_be_exchanged_back_and_forth(own: OwnModels, models_folder: Path) -> None:
    publish(own, OLD)
    publish(own, NEW, replace=True)

    with pytest.raises(Conflict) as caught:
        own.restore("sketch")
    assert caught.value.hint == "add --replace to exchange the two"
    found = []
    for _ in range(3):
        assert own.restore("sketch", replace=True) is True
        found.append(bytes_of(models_folder))
    assert found == [OLD, NEW, OLD]
    assert len(own.removed()) == 1
    assert len(list((own_folder(models_folder) / "sketch").iterdir())) == 2


def test_the_last_removed_of_a_name_comes_back_first(own: OwnModels, models_folder: Path) -> None:
    for data in (OLD, NEW):
        publish(own, data)
        own.remove("sketch")

    own.restore("sketch")

    assert bytes_of(models_folder) == NEW


def test_purging_leaves_nothing_of_a_name(own: OwnModels, models_folder: Path) -> None:
    publish(own, OLD)
    publish(own, NEW, replace=True)
    publish(own, OLD, "other")

    freed_bytes = own.purge("sketch", is_live_too=True)

    assert freed_bytes > len(OLD) + len(NEW)
    assert not [path for path in visible(models_folder) if "sketch" in path]
    assert bytes_of(models_folder, "other") == OLD
    with pytest.raises(ModelNotFound):
        own.purge("sketch", is_live_too=True)


def test_what_somebody_else_put_among_the_removed_is_left_alone(own: OwnModels, models_folder: Path) -> None:
    publish(own, OLD)
    own.remove("sketch")
    trash = own_folder(models_folder) / ".trash"
    (trash / "sketch.123-abcd").write_text("mine")
    (trash / "notes").mkdir()

    assert [item.name for item in own.removed()] == ["sketch"]
    assert own.restore("sketch") is False
    assert own.removed() == []
    assert sorted(path.name for path in trash.iterdir()) == ["notes", "sketch.123-abcd"]


def test_purging_a_model_that_was_linked_here_leaves_what_the_link_leads_to(
    own: OwnModels, models_folder: Path, tmp_path: Path
) -> None:
    publish(own, OLD)
    folder = own_folder(models_folder)
    elsewhere = tmp_path / "elsewhere"
    (folder / "sketch").rename(elsewhere)
    (folder / "sketch").symlink_to(elsewhere)
    assert bytes_of(models_folder) == OLD

    own.purge("sketch", is_live_too=True)

    assert visible(models_folder) == [".trash"]
    assert sorted(path.suffix for path in elsewhere.iterdir()) == [".onnx", ".toml"]


def test_purging_what_was_removed_leaves_the_model_that_has_the_name_now(own: OwnModels) -> None:
    publish(own, OLD)
    own.remove("sketch")
    publish(own, NEW)
    is_live, copies, size_bytes = own.look("sketch")

    freed_bytes = own.purge("sketch", is_live_too=False)

    assert (is_live, copies) == (True, 1)
    assert 0 < freed_bytes < size_bytes
    assert (own.is_live("sketch"), own.removed()) == (True, [])


def test_models_that_ship_cannot_be_removed(own: OwnModels) -> None:
    for act in (own.remove, own.look, partial(own.purge, is_live_too=True)):
        with pytest.raises(InvalidInput, match="waifu2x-cunet-x2 ships with Audobon"):
            act("waifu2x-cunet-x2")
    with pytest.raises(ModelNotFound):
        own.remove("../models")


def test_what_was_removed_is_kept_for_thirty_days(
    own: OwnModels, models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(own_models_module, "utc_now", lambda: now)
    publish(own, OLD)
    own.remove("sketch")

    now += 29.9 * 86_400
    publish(own, NEW)
    assert [item.name for item in own.removed()] == ["sketch"]
    now += 0.2 * 86_400
    publish(own, NEW, "other")
    assert own.removed() == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda card, _graph: card.unlink(), "No such file or directory"),
        (lambda card, _graph: card.write_bytes(b"\xff"), "codec can't decode"),
        (lambda card, _graph: card.write_text("name = 3"), "Expected `str`, got `int`"),
        (lambda card, _graph: card.write_bytes(bytes(2 << 20)), "its card is far too large"),
        (
            lambda card, _graph: card.write_text(card.read_text().replace("tile_px = 192", "tile_px = 7")),
            "its card holds figures that cannot be",
        ),
        *(
            (
                lambda card, _graph, old=old, new=new: card.write_text(card.read_text().replace(old, new)),
                "its card holds figures that cannot be",
            )
            for old, new in (
                ("seconds_per_megapixel = 1.0", "seconds_per_megapixel = inf"),
                ("seconds_per_megapixel = 1.0", "seconds_per_megapixel = nan"),
                ("seconds_per_megapixel = 1.0", "seconds_per_megapixel = -1"),
                ("\n1 = 1\n", f"\n1 = {10**19}\n"),
                ("\n1 = 1\n", "\n1 = 0\n"),
            )
        ),
        (
            lambda card, _graph: card.write_text(
                card.read_text().replace('name = "sketch"', 'name = "other"')
            ),
            "its card is not one that `audobon models add` wrote",
        ),
        (lambda _card, graph: graph.unlink(), "No such file or directory"),
        (lambda _card, graph: graph.write_bytes(b""), "another size than its card says"),
    ],
)
def test_a_damaged_model_is_named_and_spoils_no_other(
    own: OwnModels, models_folder: Path, damage: Callable[[Path, Path], object], reason: str
) -> None:
    publish(own, OLD)
    publish(own, NEW, "sound")
    (graph,) = (own_folder(models_folder) / "sketch").glob("*.onnx")
    damage(graph.with_name("card.toml"), graph)

    with pytest.raises(CorruptModel) as caught:
        card_named("sketch")

    assert caught.value.message.startswith("your model sketch is damaged: ")
    assert reason in caught.value.message
    assert card_named("sound").name == "sound"
    assert "sketch" not in all_cards()
    assert [
        (one.name, one.card is None, one.fault is not None) for one in Models(models_folder).list()[-2:]
    ] == [
        ("sketch", True, True),
        ("sound", False, False),
    ]
    publish(own, NEW, replace=True)
    assert bytes_of(models_folder) == NEW


def test_a_damaged_model_can_be_removed(own: OwnModels, models_folder: Path) -> None:
    publish(own, OLD)
    (own_folder(models_folder) / "sketch" / "card.toml").unlink()

    own.remove("sketch")

    with pytest.raises(ModelNotFound):
        card_named("sketch")


# Every step that changes the disk is an event that Python tells of; the child dies right before the nth.
DIE_AT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import blake3, shutil, hashlib  # loaded before steps are counted
from own_model_files import publish
from audobon.models.own_models import OwnModels

act, folder, nth = sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
own, steps = OwnModels(folder), 0

def count(event, arguments):
    global steps
    if event in ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir") or (
        event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
    ):
        steps += 1
        if steps == nth:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
if act == "add":
    publish(own, b"the new one, longer", replace=True)
elif act == "remove":
    own.remove("sketch")
elif act == "purge":
    own.purge("sketch", is_live_too=True)
else:
    own.restore("sketch", replace=True)
"""
ACTS = {
    # act: what there is before, and what may be there after a death
    "add": (OLD, {OLD, NEW}),
    "add the first": (None, {None, NEW}),
    "remove": (OLD, {OLD, None}),
    "restore": (OLD, {OLD, NEW}),
    "purge": (OLD, {OLD, None}),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_death_at_any_step_leaves_the_old_model_or_the_new_one(
    start_python: StartPython, tmp_path: Path, act: str
) -> None:
    before, allowed = ACTS[act]
    original = tmp_path / "original" / "models"
    if act == "restore":
        publish(OwnModels(original), NEW)
        OwnModels(original).remove("sketch")
    if before is not None:
        publish(OwnModels(original), before)
    original.parent.mkdir(exist_ok=True)
    seen: set[bytes | None] = set()
    for nth in range(1, 200):
        folder = tmp_path / str(nth) / "models"
        shutil.copytree(original.parent, folder.parent)
        process = start_python(DIE_AT, Path(__file__).parent, act.split()[0], folder, nth)
        process.communicate()

        found = bytes_of(folder)
        assert found in allowed, f"after {nth} steps"
        seen.add(found)
        own = OwnModels(folder)
        if found is None and act == "remove":
            own.restore("sketch")
            assert bytes_of(folder) == OLD
        # Whatever was left behind is in nobody's way, and goes.
        publish(own, NEW, replace=True)
        assert bytes_of(folder) == NEW
        assert not list(own_folder(folder).rglob("*.part"))
        if process.returncode == 0:
            break
        assert process.returncode == -9
    assert process.returncode == 0
    assert nth > 4
    assert seen == allowed


def test_adding_the_same_name_in_two_processes_lets_one_win(
    start_python: StartPython, tmp_path: Path
) -> None:
    code = DIE_AT.replace("replace=True)\nelif", "replace=False)\nelif")
    folder = tmp_path / "models"
    started = [start_python(code, Path(__file__).parent, "add", folder, 0) for _ in range(3)]

    ended = sorted(process.wait(30) for process in started)

    assert ended == [0, 1, 1]
    assert bytes_of(folder) == NEW
    assert visible(folder) == [
        "sketch",
        "sketch/" + own_card(NEW).graph_sha256[:16] + ".onnx",
        "sketch/card.toml",
    ]


def test_a_reader_beside_a_replacer_always_sees_a_whole_model(
    start_python: StartPython, models_folder: Path
) -> None:
    folder = models_folder
    publish(OwnModels(folder), OLD)
    again = "for _ in range(40): own.restore('sketch', replace=True)"
    code = DIE_AT.replace("\nif act", f"\n{again}\nif act")
    publish(OwnModels(folder), NEW, replace=True)
    process = start_python(code, Path(__file__).parent, "restore", folder, 0)

    seen = set()
    while process.poll() is None:
        seen.add(card_named("sketch").graph_bytes)

    assert process.returncode == 0
    assert seen == {len(OLD), len(NEW)}


def test_a_model_replaced_between_asking_for_it_and_loading_it_is_not_loaded_as_the_other(
    own: OwnModels, models_folder: Path
) -> None:
    publish(own, OLD)
    models = Models(models_folder, threads=1)
    lease = models.lease("sketch", peak_bytes=1)
    publish(own, NEW, replace=True)

    with pytest.raises(Conflict, match="the model sketch was replaced meanwhile"):
        lease.__enter__()
    assert models.resident() == []
