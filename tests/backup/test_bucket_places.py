"""Places for backups in a bucket: all that can be done with a folder can be done there, with fewer rights."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Desk
from google.cloud.storage.retry import DEFAULT_RETRY
from test_backup_commands import Command

from audobon.backup import bucket_turns
from audobon.backup.locations import BucketFolder, open_store, parse_location
from audobon.backup.places import Places
from audobon.backup.rules import KeepRules
from audobon.errors import (
    AlreadyRunning,
    CloudDenied,
    CloudUnavailable,
    Conflict,
    InvalidInput,
    Misconfigured,
    OnHold,
    Unavailable,
)
from audobon.storage import gcp
from fakes.cloud import FakeCloud
from fakes.storage import CREATES, READS

PLACE = "gs://heron/studio"
PRUNE = (
    *("backup", "prune", "--yes", "--keep-last", "1", "--keep-daily", "0", "--keep-weekly", "0"),
    *("--keep-monthly", "0", "--keep-days", "0"),
)
ONE_LEFT = KeepRules(last=1, daily=0, weekly=0, monthly=0, days=0.0)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCloud]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    impatient = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.002).with_timeout(2.0)
    monkeypatch.setattr(gcp, "_google_retry", lambda: impatient)
    with FakeCloud(clock=time.time) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        cloud.storage.add_bucket("heron", softDeletePolicy={"retentionDurationSeconds": "0"})
        yield cloud


@pytest.fixture
def desk(tmp_path: Path, cloud: FakeCloud) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.place = parse_location(PLACE)
    desk.backups.add(desk.place)
    yield desk
    desk.close()


@pytest.fixture
def audobon(tmp_path: Path, cloud: FakeCloud) -> Command:
    return with_cloud(Command(tmp_path / "old"), cloud)


def with_cloud(command: Command, cloud: FakeCloud) -> Command:
    command.environment |= cloud.environment()
    return command


def test_every_command_works_with_a_bucket(audobon: Command, cloud: FakeCloud, tmp_path: Path) -> None:
    words = tmp_path / "words"
    assert audobon("backup", "add", PLACE).stderr == (
        f"{PLACE} is a place for backups now; fill it with: audobon backup now\n"
    )
    (audobon.root / "page.bin").write_bytes(bytes(range(256)) * 100)
    key = audobon("storage", "put", audobon.root / "page.bin").stdout.split()[0]
    made = json.loads(audobon("backup", "now", "--json").stdout)
    assert (made["failures"], made["backups"][0]["place"]) == ([], PLACE)
    assert audobon("backup", "now").returncode == 0
    (listed,) = json.loads(audobon("backup", "list", "--json").stdout)["places"]
    assert (listed["place"], len(listed["backups"])) == (PLACE, 2)
    verified = json.loads(audobon("backup", "verify", "--json").stdout)["places"][0]
    assert (verified["faults"], verified["backup_count"]) == ([], 2)
    drilled = json.loads(audobon("backup", "drill", "--json").stdout)["drills"][0]
    assert [step["is_well"] for step in drilled["steps"]] == [True] * 6
    assert audobon("backup", "status").returncode == 0
    pruned = audobon(*PRUNE)
    assert (pruned.returncode, f"{PLACE}: {made['backups'][0]['id']} is gone\n" in pruned.stderr) == (0, True)
    assert len(json.loads(audobon("backup", "list", "--json").stdout)["places"][0]["backups"]) == 1
    assert audobon("keys", "export-recovery", "--yes", "--output", words).returncode == 0
    restored = audobon("backup", "restore", "--into", tmp_path / "beside")
    assert restored.returncode == 0, restored.stderr
    one = audobon("backup", "restore", "--file", key, "--into", tmp_path / "found")
    assert one.returncode == 0, one.stderr
    (found,) = (tmp_path / "found").iterdir()
    assert found.read_bytes() == bytes(range(256)) * 100
    assert audobon("database", "check", "--from", PLACE).returncode == 0
    assert PLACE in audobon("database", "status").stdout
    told = audobon("keys", "check-recovery", "--words-file", words)
    assert (told.returncode, f"in {PLACE}/keystores/" in told.stderr) == (0, True)
    # All of it lies below the prefix.
    assert {name.split("/")[0] for name in cloud.storage.names_in("heron")} == {"studio"}


def test_a_fresh_machine_has_everything_again_from_a_bucket_and_the_words(
    audobon: Command, cloud: FakeCloud, tmp_path: Path
) -> None:
    words = tmp_path / "words"
    audobon("backup", "add", PLACE)
    audobon("backup", "now")
    audobon("keys", "export-recovery", "--yes", "--output", words)
    fresh = with_cloud(Command(tmp_path / "new"), cloud)
    assert len(fresh("backup", "list", "--from", PLACE).stdout.splitlines()) == 2
    done = fresh("backup", "restore", "--from", PLACE, "--recovery-words-file", words, "--in-place")
    assert done.returncode == 0, done.stderr
    assert fresh("backup", "now").returncode == 0
    assert fresh("backup", "verify").returncode == 0
    assert len(json.loads(fresh("backup", "list", "--json").stdout)["places"][0]["backups"]) == 2


def test_a_bucket_can_stand_in_the_settings_beside_folders(audobon: Command, cloud: FakeCloud) -> None:
    audobon("backup", "add", PLACE)
    audobon("backup", "remove", PLACE)
    audobon.environment["AUDOBON_BACKUP_PLACES"] = f"{audobon.root / 'disk'}:{PLACE}"
    audobon("backup", "add", audobon.root / "disk")
    made = json.loads(audobon("backup", "now", "--json").stdout)
    assert [each["place"] for each in made["backups"]] == [str(audobon.root / "disk"), PLACE]
    refused = audobon("backup", "remove", PLACE)
    assert (refused.returncode, f"{PLACE} is named in the settings" in refused.stderr) == (5, True)
    audobon.environment["AUDOBON_BACKUP_PLACES"] = "gs://Bad_Bucket!/x"
    assert audobon("backup", "now").returncode == 3


def test_an_account_that_may_only_create_makes_proves_and_drills_but_prunes_nothing(
    audobon: Command, cloud: FakeCloud
) -> None:
    cloud.storage.allowed = CREATES
    for command in ("add", "now", "now", "verify", "drill", "status", "list"):
        done = audobon("backup", command, *([PLACE] if command == "add" else []))
        assert done.returncode == 0, (command, done.stderr)
    refused = audobon(*PRUNE)
    assert (refused.returncode, "storage.objects.delete" in refused.stderr) == (6, True)
    assert len(json.loads(audobon("backup", "list", "--json").stdout)["places"][0]["backups"]) == 2
    cloud.storage.allowed = READS
    assert audobon("backup", "verify").returncode == 0
    assert audobon("backup", "now").returncode == 6


def test_making_backups_asks_for_nothing_that_changes_or_deletes(desk: Desk, cloud: FakeCloud) -> None:
    desk.put(10_000)
    desk.put(9_000_000)
    desk.backups.make()
    desk.backups.verify()
    desk.backups.drill()
    deeds = {call.method for call in cloud.http.calls}
    assert deeds == {
        "storage.objects.get",
        "storage.objects.list",
        "storage.objects.insert",
        "storage.objects.send",
    }
    conditions = {
        call.request.parameters.get("ifGenerationMatch") for call in cloud.calls_of("storage.objects.insert")
    }
    assert conditions == {"0"}


def test_a_backup_that_lost_the_network_goes_on_with_what_is_there(desk: Desk, cloud: FakeCloud) -> None:
    for _ in range(3):
        desk.put(9_000_000)
        desk.storage.seal_open_packs()
    cloud.faults.fail("storage.objects.send", 403, times=1)
    cloud.faults.cut("storage.objects.send", 3_000_000, times=3)
    with pytest.raises(CloudDenied):
        desk.backups.make()
    assert desk.backups.verify()[0].faults == []
    cloud.faults.clear()
    (made,) = desk.backups.make()
    assert made.new_packs < made.packs == 3
    assert desk.backups.verify()[0].faults == []
    cloud.faults.network_down()
    with pytest.raises(CloudUnavailable):
        desk.backups.make()
    (standing,) = desk.backups.standings()
    assert (standing.backup_count, PLACE in standing.alarms[0]) == (None, True)


def test_damage_in_a_bucket_is_found_and_mended(desk: Desk, cloud: FakeCloud) -> None:
    key = desk.put(50_000)
    desk.backups.make()
    for prefix in ("packs/", "manifests/", "keystores/", "repository.json"):
        (name,) = [info.name for info in open_store(desk.place, rights="read").list(prefix)][:1]
        whole = cloud.storage.bytes_of("heron", f"studio/{name}")
        cloud.storage.damage("heron", f"studio/{name}", lambda data: data[:-9] + b"!" + data[-8:])
        if prefix != "repository.json":
            (verified,) = desk.backups.verify()
            assert name in [fault.object for fault in verified.faults]
        desk.backups.repair()
        assert desk.backups.verify()[0].faults == []
        if prefix == "packs/":
            assert cloud.storage.bytes_of("heron", f"studio/{name}") == whole
    desk.restore(desk.root / "again")
    assert desk.storage.get(key)


def test_pruning_leaves_what_the_bucket_must_keep_and_says_so(desk: Desk, cloud: FakeCloud) -> None:
    desk.put()
    desk.backups.make()
    store = open_store(desk.place, rights="full")
    store._bucket.retention_period = 3600  # type: ignore[attr-defined]
    store._bucket.patch()  # type: ignore[attr-defined]
    desk.now += 10 * 24 * 3600
    desk.put()
    desk.backups.make()
    with pytest.raises(OnHold, match="must be kept still"):
        desk.backups.prune(rules=ONE_LEFT, is_dry=False)
    store._bucket.retention_period = None  # type: ignore[attr-defined]
    store._bucket.patch()  # type: ignore[attr-defined]
    (pruned,) = desk.backups.prune(rules=ONE_LEFT, is_dry=False)
    assert len(desk.repository().numbers()) == 1
    assert desk.backups.verify()[0].faults == [], pruned


# Several machines.


def test_who_adds_and_who_removes_keep_out_of_each_others_way(desk: Desk, cloud: FakeCloud) -> None:
    store = open_store(desk.place, rights="full")
    with bucket_turns.adding(store), pytest.raises(AlreadyRunning, match="under way by"):
        desk.backups.prune(rules=ONE_LEFT, is_dry=False)
    with bucket_turns.alone(store):
        for deed in (desk.backups.make, desk.backups.verify, desk.backups.prune):
            with pytest.raises(AlreadyRunning, match=r"being removed by|under way"):
                deed()
    desk.backups.make()
    assert desk.backups.verify()[0].faults == []
    desk.backups.prune(rules=ONE_LEFT, is_dry=False)
    # Of all the flags those of the prune itself are left.
    assert [name.rpartition(".")[2] for name in desk.objects("turns/")] == ["alone", "ended"]


def test_flags_never_keep_an_account_out_that_may_only_create(desk: Desk, cloud: FakeCloud) -> None:
    cloud.storage.allowed = CREATES
    for _ in range(2):
        desk.backups.make()
        desk.backups.prune(rules=ONE_LEFT, is_dry=True)
    with pytest.raises(CloudDenied):
        desk.backups.prune(rules=ONE_LEFT, is_dry=False)
    desk.backups.make()


def test_a_flag_of_the_dead_counts_for_a_day(desk: Desk, cloud: FakeCloud) -> None:
    store = open_store(desk.place, rights="full")

    def in_a_day() -> float:
        return time.time() + bucket_turns.STALE_SECONDS

    def enter(clock: Callable[[], float] = time.time) -> None:
        with bucket_turns.alone(store, clock=clock):
            pass

    for kind in ("adds", "alone"):
        with store.create(f"turns/20260101-000000-abcdef.{kind}") as file:
            file.write(b"the dead")
        with pytest.raises(AlreadyRunning, match="by the dead"):
            enter()
        enter(in_a_day)
        assert not any("abcdef" in name for name in desk.objects("turns/"))


# What is no place.


def test_addresses_are_read_strictly() -> None:
    assert parse_location("gs://heron/a/b/") == BucketFolder("heron", "a/b")
    assert str(parse_location("gs://heron")) == "gs://heron"
    assert str(BucketFolder("heron", "a") / "packs/x") == "gs://heron/a/packs/x"
    assert parse_location("gs/heron") == Path("gs/heron")
    for text in ("gs://", "gs:///x", "gs://Heron", "gs://heron/../x", "gs://heron//x", "gs://he ron/x"):
        with pytest.raises(InvalidInput, match="no address of a bucket"):
            parse_location(text)


def test_a_bucket_that_is_not_there_or_in_use_is_no_place(desk: Desk, cloud: FakeCloud) -> None:
    with pytest.raises(Unavailable, match="gs://gone/x is not there"):
        desk.backups.add(parse_location("gs://gone/x"))
    with open_store(parse_location("gs://heron/used"), rights="full").create("something") as file:
        file.write(b"else")
    with pytest.raises(Conflict, match="gs://heron/used holds other objects"):
        desk.backups.add(parse_location("gs://heron/used"))
    assert [str(place.path) for place in desk.backups.places.list()] == [PLACE]


def test_two_places_in_one_bucket_are_two_repositories(desk: Desk, cloud: FakeCloud) -> None:
    desk.put()
    desk.backups.add(parse_location("gs://heron/other"))
    assert len(desk.backups.make()) == 2
    cards = [
        desk.repository(place=parse_location(f"gs://heron/{name}")).card.id for name in ("studio", "other")
    ]
    assert len(set(cards)) == 2
    assert Places(desk.folder, []).list() == desk.backups.places.list()


def test_rules_of_a_place_move_its_packs_alone_and_never_delete(
    audobon: Command, cloud: FakeCloud, tmp_path: Path
) -> None:
    audobon("backup", "add", PLACE)
    told = audobon("storage", "lifecycle", "apply", PLACE, "--json")
    assert told.returncode == 0, told.stderr
    prefixes = {
        prefix for rule in json.loads(told.stdout)["rule"] for prefix in rule["condition"]["matchesPrefix"]
    }
    assert prefixes == {"studio/packs/page/", "studio/packs/result/", "studio/packs/"}
    rules = tmp_path / "rules.json"
    rules.write_text(
        '{"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30, "matchesPrefix": ["page/"]}}]}'
    )
    refused = audobon("storage", "lifecycle", "apply", PLACE, rules)
    assert (refused.returncode, "rule 1 deletes" in refused.stderr) == (2, True)
    assert audobon("storage", "lifecycle", "apply", tmp_path).returncode == 2


def test_without_the_packages_of_google_the_message_says_what_to_install(
    cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcp._client_of.cache_clear()
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(Misconfigured) as caught:
        open_store(parse_location(PLACE), rights="read")
    assert "audobon[gcp]" in (caught.value.hint or "")
