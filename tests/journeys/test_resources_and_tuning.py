"""`audobon up` records what resources it uses, and a tuning that was kept changes how pages are placed."""

import json

from audobon_command import Audobon, wait_until
from drawn_pages import drawn

from audobon.compute.tuning import Tuning, machine_digest, save_tuning
from audobon.models.running import Running
from audobon.models.store import runtime_version


def test_the_engine_records_its_resources_and_killing_it_loses_none(audobon: Audobon) -> None:
    engine = audobon.start("up")

    def recorded() -> list[dict[str, float]]:
        outcome = audobon.run("resources", "--history", "10m", "--json")
        points: list[dict[str, float]] = json.loads(outcome.out)["figures"]["memory_ours_bytes"]
        return points

    before = wait_until(recorded, "a record")
    shown = json.loads(audobon.run("resources", "--json").out)
    engine.kill()
    engine.communicate()

    assert before[0]["mean"] > 1 << 20
    assert shown["processes"] >= 1
    assert [point["at"] for point in recorded()][: len(before)] == [point["at"] for point in before]
    assert json.loads(audobon.run("resources", "--json").out)["processes"] == 0


def test_a_tuning_is_used_by_the_next_run_and_the_pixels_are_the_same(audobon: Audobon) -> None:
    drawn(300, 400).save(audobon.folder / "page.png")
    running = Running(spinning=True, cores=(0,), weights="read", read_ahead=True)
    tuning = Tuning(
        machine=machine_digest(),
        runtime=runtime_version(),
        threads=1,
        running=running,
        tiles_px={"waifu2x-upconv7-x2": 64},
    )
    save_tuning(audobon.data, tuning)
    # Another data folder: there the work was not done before, and is not adopted.
    plain = audobon.folder.parent / "plain"
    plain.mkdir()
    (plain / "models").symlink_to(audobon.data / "models", target_is_directory=True)

    as_tuned = audobon.run("run", "upscale", "page.png", "-o", "tuned.png", "--json")
    by_default = audobon.run(
        "run", "upscale", "page.png", "-o", "plain.png", "--json", env={"AUDOBON_STORAGE_FOLDER": str(plain)}
    )

    assert [json.loads(outcome.out)["pages"][0]["tile_px"] for outcome in (as_tuned, by_default)] == [64, 192]
    tuned, untuned = ((audobon.folder / name).read_bytes() for name in ("tuned.png", "plain.png"))
    assert tuned == untuned
