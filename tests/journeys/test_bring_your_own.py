"""A model of one's own, from the file to the page: added, used like those that ship, removed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audobon_command import Audobon, Outcome, wait_until
from drawn_pages import drawn
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "models"))
from made_models import doubler, write

ADDING_SECONDS = 120.0


@pytest.fixture
def audobon(audobon: Audobon) -> Audobon:
    """The command with a folder of its own for prepared models: removing one removes what was prepared."""
    shared = (audobon.data / "models").readlink()
    (audobon.data / "models").unlink()
    (audobon.data / "models").mkdir()
    for entry in shared.iterdir():
        (audobon.data / "models" / entry.name).symlink_to(entry)
    return audobon


def ended_add(process: "subprocess.Popen[str]") -> Outcome:
    """Return how adding ended: it starts seven processes one after the other."""
    out, err = process.communicate(timeout=ADDING_SECONDS)
    assert "Traceback" not in err, err
    return Outcome(process.returncode, out, err)


def add(audobon: Audobon, *options: str) -> Outcome:
    """Add the model that lies on the desk."""
    return ended_add(audobon.start("models", "add", "model.onnx", "--card", "card.toml", *options))


def bring(audobon: Audobon, name: str = "doubler", *, options: tuple[str, ...] = (), **model: object) -> str:
    """Add a model made for the test; return what was told."""
    write(audobon.folder, doubler(**model), name=name, tile_px=64)  # type: ignore[arg-type]
    outcome = add(audobon, *options)
    assert (outcome.status, outcome.out) == (0, ""), outcome.err
    return outcome.err


@pytest.fixture
def brought(audobon: Audobon, tmp_path_factory: pytest.TempPathFactory) -> Audobon:
    """The command with the model `doubler`, which is added once and then copied."""
    shelf = tmp_path_factory.getbasetemp() / "doubler"
    if not shelf.exists():
        bring(audobon)
        shutil.copytree(audobon.data / "models" / "doubler", shelf / "models")
        shutil.copytree(audobon.data / "user-models", shelf / "user-models")
    else:
        shutil.copytree(shelf / "models", audobon.data / "models" / "doubler")
        shutil.copytree(shelf / "user-models", audobon.data / "user-models")
    return audobon


def kept(audobon: Audobon) -> list[str]:
    """Return what lies in the folder of own models."""
    folder = audobon.data / "user-models"
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.name != ".lock")


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_an_added_model_works_on_pages_in_every_process_and_is_shown_and_proved(audobon: Audobon) -> None:
    # when
    told = bring(audobon)

    # then
    assert told.splitlines()[:4] == [
        "reading model.onnx",
        "checking that it is plain, sound ONNX",
        "optimising it for this machine",
        "trying it: shapes, numbers, whether tiles leave a trace",
    ]
    assert told.endswith(
        "doubler is added\nuse it: audobon run upscale page.png -o out.png --scale 2 --model doubler\n"
    )
    listed = audobon.run("models", "list")
    assert re.search(r"^doubler +upscale +0\.0 MB  CC0-1\.0 +ready, yours$", listed.out, re.MULTILINE)
    info = audobon.run("models", "info", "doubler").out
    assert "what          A small doubler\n" in info
    assert re.search(
        rf"^file +{audobon.data}/user-models/doubler/[0-9a-f]+\.onnx, yours$", info, re.MULTILINE
    )
    proof = audobon.run("models", "verify", "doubler")
    assert (proof.status, proof.err) == (0, "1 model is what its card says\n")

    # and a page in one tile is the page in many, within a small budget
    drawn(150, 170).save(audobon.folder / "page.png")
    whole = audobon.run("run", "upscale", "page.png", "-o", "whole.png", "--model", "doubler", "--json")
    small = audobon.run(
        "run",
        "upscale",
        "page.png",
        "-o",
        "4x.png",
        "--model",
        "doubler",
        "--scale",
        "4",
        "--memory",
        "300MB",
    )
    assert (whole.status, small.status) == (0, 0)
    report = json.loads(whole.out)
    assert (report["models"], report["pages"][0]["width"], report["pages"][0]["height"]) == (
        ["doubler"],
        300,
        340,
    )
    with Image.open(audobon.folder / "4x.png") as image:
        assert image.size == (600, 680)


def test_a_model_that_leaves_a_trace_of_tiles_is_pinned_and_works(audobon: Audobon) -> None:
    told = bring(audobon, is_exact=False)
    drawn(150, 170).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "out.png", "--model", "doubler", "--json")

    assert "note: its pixels depend on how a page is cut, so tiles are always 64 px" in told
    assert outcome.status == 0
    assert json.loads(outcome.out)["pages"][0]["tile_px"] == 64
    assert "tiles         always 64 px\n" in audobon.run("models", "info", "doubler").out


def test_colours_in_the_other_order_come_out_right(audobon: Audobon) -> None:
    red = np.zeros((40, 50, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(audobon.folder / "page.png")
    write(audobon.folder, doubler(), name="straight", tile_px=64)
    assert add(audobon).status == 0
    write(audobon.folder, doubler(), name="turned", tile_px=64, colour="BGR")
    assert add(audobon).status == 0

    for name in ("straight", "turned"):
        assert audobon.run("run", "upscale", "page.png", "-o", f"{name}.png", "--model", name).status == 0
        with Image.open(audobon.folder / f"{name}.png") as image:
            r, g, b = (int(value) for value in image.getpixel((40, 40)))  # type: ignore[union-attr]
        assert r > 150
        assert max(g, b) < 60


def test_a_model_that_keeps_the_size_cleans_and_only_cleans(audobon: Audobon) -> None:
    write(audobon.folder, doubler(scale=1), name="tidy", task="clean", scale=1, tile_px=64)
    told = add(audobon)
    drawn(48, 64).save(audobon.folder / "page.png")

    cleaned = audobon.run("run", "clean", "page.png", "-o", "out.png", "--model", "tidy")
    upscaled = audobon.run("run", "upscale", "page.png", "-o", "big.png", "--model", "tidy")
    shipped = audobon.run("run", "clean", "page.png", "-o", "big.png", "--model", "waifu2x-upconv7-x2")

    assert told.err.endswith("use it: audobon run clean page.png -o out.png --model tidy\n")
    assert cleaned.status == 0
    assert "clean: 1 page done, with tidy" in cleaned.err
    assert (upscaled.status, upscaled.err.splitlines()[0]) == (2, "error: tidy makes pages ×1, not ×2")
    assert (shipped.status, shipped.err.splitlines()[0]) == (
        2,
        "error: waifu2x-upconv7-x2 makes pages ×2, it does not clean",
    )
    assert audobon.files() == ["card.toml", "model.onnx", "out.png", "page.png"]


def test_a_flipped_byte_is_refused_by_verify_and_by_a_first_run(brought: Audobon) -> None:
    audobon = brought
    (graph,) = (audobon.data / "user-models" / "doubler").glob("*.onnx")
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    for prepared in (audobon.data / "models" / "doubler").iterdir():
        prepared.rename(audobon.folder.parent / "elsewhere")
    drawn(48, 64).save(audobon.folder / "page.png")

    verified = audobon.run("models", "verify", "doubler")
    ran = audobon.run("run", "upscale", "page.png", "-o", "out.png", "--model", "doubler")

    assert (verified.status, ran.status) == (9, 9)
    for outcome in (verified, ran):
        assert f"{graph} is not the file doubler was admitted with: sha256 " in outcome.err
        assert (
            "hint: audobon models add FILE --card CARD --replace, or audobon models remove doubler"
            in outcome.err
        )
    assert not (audobon.folder / "out.png").exists()


def test_a_page_is_planned_with_an_own_model_that_was_not_prepared_yet(brought: Audobon) -> None:
    shutil.rmtree(brought.data / "models" / "doubler")
    drawn(48, 64).save(brought.folder / "page.png")

    outcome = brought.run("plan", "upscale", "page.png", "--model", "doubler")

    assert outcome.status == 0, outcome.err


def test_the_tools_for_models_know_it_too(brought: Audobon) -> None:
    leak = brought.run("models", "leak", "doubler", "--cycles", "20")
    bench = brought.run("models", "bench", "doubler", "--rounds", "1")

    assert (leak.status, bench.status) == (0, 0), leak.err + bench.err
    assert "doubler" in bench.out


def test_a_damaged_card_is_listed_so_and_harms_no_other(brought: Audobon) -> None:
    audobon = brought
    (audobon.data / "user-models" / "doubler" / "card.toml").write_text("?")
    drawn(48, 64).save(audobon.folder / "page.png")

    listed = audobon.run("models", "list")
    verified = audobon.run("models", "verify", "doubler", "waifu2x-upconv7-x2")
    ran = audobon.run("run", "upscale", "page.png", "-o", "out.png", "--model", "doubler")
    default = audobon.run("run", "upscale", "page.png", "-o", "out.png")

    assert (listed.status, verified.status, ran.status, default.status) == (0, 9, 9, 0)
    assert "doubler" in listed.out.splitlines()[-1]
    assert listed.out.splitlines()[-1].endswith("damaged; see: audobon models verify doubler")
    assert "error: doubler: your model doubler is damaged: " in verified.err
    assert verified.out.startswith("sound  waifu2x-upconv7-x2 ")
    assert ran.err.startswith("error: your model doubler is damaged: ")


@pytest.mark.parametrize(
    ("name", "contents", "status", "told"),
    [
        ("nosuch.onnx", None, 4, "error: no such file or folder: nosuch.onnx\n"),
        ("page.png", b"\x89PNG\r\n\x1a\n" + bytes(100), 2, "error: page.png "),
        ("m.pth", b"PK\x03\x04" + bytes(100), 2, "error: m.pth "),
    ],
)
def test_the_file_is_looked_at_before_its_name(
    brought: Audobon, name: str, contents: bytes | None, status: int, told: str
) -> None:
    write(brought.folder, doubler(), tile_px=64)
    if contents is not None:
        (brought.folder / name).write_bytes(contents)

    outcome = brought.run("models", "add", name, "--card", "card.toml")

    assert outcome.status == status
    assert outcome.err.startswith(told)


def test_removed_and_restored(brought: Audobon) -> None:
    audobon = brought
    before = kept(audobon)
    drawn(48, 64).save(audobon.folder / "page.png")
    run = ("run", "upscale", "page.png", "-o", "out.png", "--model", "doubler")

    removed = audobon.run("models", "remove", "doubler")
    refused = audobon.run(*run)
    waiting = audobon.run("models", "restore")
    restored = audobon.run("models", "restore", "doubler", "--json")
    ran = audobon.run(*run)
    purge = ("models", "remove", "--purge", "doubler")
    tried = audobon.run(*purge, "--dry-run")
    unasked = audobon.run(*purge, "--json", stdin=subprocess.DEVNULL)
    kept_still = kept(audobon)
    purged = audobon.run(*purge, "--yes")

    assert removed.err == (
        "doubler is removed; for 30 days it comes back with: audobon models restore doubler\n"
    )
    assert (refused.status, refused.err) == (
        4,
        "error: the model doubler was removed\nhint: audobon models restore doubler\n",
    )
    assert re.fullmatch(r"doubler  0\.0 MB  removed [\d.]+ s ago\n", waiting.out)
    assert json.loads(restored.out) == {"name": "doubler", "is_replaced": False}
    assert ran.status == 0
    assert (tried.status, tried.err) == (0, "would be gone for good: the model doubler; 0.0 MB\n")
    assert (unasked.status, json.loads(unasked.out)["error"]["code"]) == (2, "invalid_input")
    assert unasked.err == (
        "error: this would delete the model doubler for good\n"
        "hint: say --yes, or leave out --purge to keep a way back\n"
    )
    assert kept_still == [".trash", *before]
    assert purged.err == "doubler is gone for good; 0.0 MB came free\n"
    assert before[0] == "doubler"
    assert kept(audobon) == [".trash"]
    assert not (audobon.data / "models" / "doubler").exists()


def test_results_of_a_replaced_model_are_not_taken_for_those_of_the_new_one(brought: Audobon) -> None:
    audobon = brought
    # given: a page done with the first model
    drawn(48, 64).save(audobon.folder / "page.png")
    run = ("run", "upscale", "page.png", "-o", "out.png", "--model", "doubler", "--overwrite", "--json")
    found = []

    def done() -> tuple[int, int]:
        report = json.loads(audobon.run(*run).out)
        found.append(pixels(audobon.folder / "out.png"))
        return report["pages_done"], report["pages_resumed"]

    first = done()

    # when
    told = bring(audobon, seed=2, options=("--replace",))
    taken = add(audobon)
    second = done()
    exchanged = audobon.run("models", "restore", "doubler", "--replace")
    third = done()

    # then
    assert (taken.status, taken.err) == (
        5,
        "error: there is a model named doubler already\nhint: add --replace, or give it another name\n",
    )
    assert "doubler is added; audobon models restore doubler --replace undoes it\n" in told
    assert exchanged.err == "doubler is back; what had its name is kept in its place\n"
    # The first model's result is good again once that model is back.
    assert (first, second, third) == ((1, 0), (1, 0), (1, 1))
    assert found[0] == found[2] != found[1]


def test_a_book_that_was_stopped_goes_on_with_one_model_only(brought: Audobon) -> None:
    audobon = brought
    # given: a book half done
    (audobon.folder / "book").mkdir()
    for number in range(1, 7):
        drawn(200, 300, seed=number).save(audobon.folder / "book" / f"{number}.png")
    run = ("run", "upscale", "book", "-o", "print", "--model", "doubler", "--overwrite")
    process = audobon.start(*run)
    audobon.wait_for_work_after(1)
    process.send_signal(signal.SIGINT)
    audobon.outcome(process)

    # when: it goes on after the model was replaced
    bring(audobon, seed=2, options=("--replace",))
    report = json.loads(audobon.run(*run, "--json").out)

    # then: no page of the old one is among them
    assert (report["pages_done"], report["pages_resumed"]) == (6, 0)


def test_a_dry_run_tells_everything_and_changes_nothing(audobon: Audobon) -> None:
    write(audobon.folder, doubler(), tile_px=64)
    before = sorted(audobon.data.rglob("*"))

    outcome = add(audobon, "--dry-run", "--json")

    made = json.loads(outcome.out)
    assert outcome.status == 0
    assert (made["is_dry_run"], made["is_replaced"], made["notes"]) == (True, False, [])
    assert (made["card"]["name"], made["card"]["picture"]["tile_exact"]) == ("doubler", True)
    assert outcome.err.endswith("a dry run: doubler would be taken, nothing was kept\n")
    assert sorted(path for path in audobon.data.rglob("*") if path.parent.name != "logs") == before


def test_a_hostile_file_is_refused_and_nothing_is_left(audobon: Audobon) -> None:
    model = doubler()
    model.graph.initializer[0].dims[0] = 1 << 40
    write(audobon.folder, model)

    outcome = add(audobon)

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.endswith(
        "error: model.onnx: its tensor first says it holds 29,686,813,949,952 numbers, and holds 216\n"
    )
    assert kept(audobon) == []


def test_two_that_add_one_name_at_once_leave_one_model(audobon: Audobon) -> None:
    write(audobon.folder, doubler(), tile_px=32)
    started = [audobon.start("models", "add", "model.onnx", "--card", "card.toml") for _ in range(2)]

    ended = sorted((ended_add(process) for process in started), key=lambda outcome: outcome.status)

    assert [outcome.status for outcome in ended] == [0, 5]
    assert "error: there is a model named doubler already\n" in ended[1].err
    assert audobon.run("models", "verify", "doubler").status == 0
    assert len(kept(audobon)) == 3


@pytest.mark.parametrize("stage", ["checking", "optimising", "trying", "measuring"])
def test_killed_while_adding_it_leaves_no_model_and_no_process(audobon: Audobon, stage: str) -> None:
    write(audobon.folder, doubler(), tile_px=32)
    process = audobon.start("models", "add", "model.onnx", "--card", "card.toml")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(stage):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    wait_until(lambda: not audobon.processes(), "the process that tried the model ended as well")
    assert "doubler" not in audobon.run("models", "list").out
    if stage == "trying":
        bring(audobon)
        assert len(kept(audobon)) == 3
