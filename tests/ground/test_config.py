"""Settings: nothing has to be set, what is set has a known origin, and faults come all at once."""

import os
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from audobon.config import Setting, config_file, explain, load, parse_bytes
from audobon.errors import InvalidInput, Misconfigured
from audobon.settings import (
    ArchiveSettings,
    LogSettings,
    MemorySettings,
    ModelSettings,
    PictureSettings,
    Settings,
    StorageSettings,
)

SAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "audobon.toml"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no variable of ours."""
    for name in list(os.environ):
        if name.startswith(("AUDOBON_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(home: Path, text: str) -> Path:
    path = home / ".config" / "audobon" / "audobon.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_has_to_be_set(home: Path) -> None:
    assert load() == Settings(
        storage=StorageSettings(folder=home / ".local" / "share" / "audobon"),
        memory=MemorySettings(budget="", share=0.5),
        pictures=PictureSettings(
            max_megapixels=150, max_seconds=120.0, suspicious_megapixels=40, max_pixels_per_byte=2000
        ),
        archives=ArchiveSettings(max_entries=20_000, max_gigabytes=32, max_ratio=200),
        models=ModelSettings(threads=0, device="auto"),
        logs=LogSettings(level="info"),
    )


def test_the_file_wins_over_the_defaults_and_variables_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(home, '[memory]\nbudget = "2GB"\nshare = 0.25\n[logs]\nlevel = "debug"\n')
    monkeypatch.setenv("AUDOBON_MEMORY_SHARE", "0.75")
    monkeypatch.setenv("AUDOBON_PICTURES_MAX_MEGAPIXELS", "200")
    explained = {setting.name: setting for setting in explain()}
    assert [setting for setting in explained.values() if setting.origin != "default"] == [
        Setting("memory.budget", "2GB", str(path)),
        Setting("memory.share", 0.75, "AUDOBON_MEMORY_SHARE"),
        Setting("pictures.max_megapixels", 200, "AUDOBON_PICTURES_MAX_MEGAPIXELS"),
        Setting("logs.level", "debug", str(path)),
    ]
    assert explained["storage.folder"] == Setting(
        "storage.folder", str(home / ".local" / "share" / "audobon"), "default"
    )
    assert load().memory == MemorySettings(budget="2GB", share=0.75)


def test_the_sample_holds_every_setting_with_its_default_and_a_comment() -> None:
    written = tomllib.loads(SAMPLE.read_text(encoding="utf-8"))
    assert [f"{section}.{name}" for section, values in written.items() for name in values] == [
        setting.name for setting in explain()
    ]
    assert load(SAMPLE) == load()
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    uncommented = [line for before, line in pairwise(lines) if " = " in line and before[:1] != "#"]
    assert [line for line in uncommented if line[0] != "#"] == []


def test_an_unknown_name_is_refused_with_the_nearest_known_one(home: Path) -> None:
    path = write(home, "[memory]\nbuget = '2GB'\n")
    with pytest.raises(Misconfigured) as caught:
        load()
    assert caught.value.message == f"{path}: unknown setting memory.buget (nearest: memory.budget)"
    assert caught.value.hint == "audobon config show"


@pytest.mark.parametrize("text", ["memory = 2", "[memory.budget]\nunit = 1", "[memorandum]\nx = 1"])
def test_a_section_of_another_shape_is_refused(home: Path, text: str) -> None:
    write(home, text)
    with pytest.raises(Misconfigured):
        load()


def test_all_faults_are_named_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        home,
        "[memory]\nshare = 2\nbudget = 'lots'\n[models]\nthreads = 'many'\ndevice = 'tpu'\n[qq]\nx = 1\n",
    )
    monkeypatch.setenv("AUDOBON_ARCHIVES_MAX_ENTRIES", "0")
    monkeypatch.setenv("AUDOBON_LOGS_LEVEL", "loud")
    monkeypatch.setenv("AUDOBON_PICTURES_MAX_SECONDS", "inf")
    with pytest.raises(Misconfigured) as caught:
        load()
    assert caught.value.message.split("; ") == [
        f"{path}: unknown setting qq.x",
        f"{path}: models.threads: Expected `int`, got `str`",
        "memory.share must lie above 0 and not above 1",
        "memory.budget: 'lots' is not an amount of memory",
        "models.device must be auto, cpu or cuda",
        "logs.level must be debug, info, warning or error",
        "pictures.max_seconds must lie above 0 and not above 1000000",
        "archives.max_entries must lie above 0 and not above 1000000",
    ]
    with pytest.raises(Misconfigured, match="unknown setting"):
        explain()


@pytest.mark.parametrize("text", ["[memory", "[memory]\nshare = 1\nshare = 1", "\udcff"])
def test_a_file_that_cannot_be_read_is_named(home: Path, text: str) -> None:
    path = write(home, "")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Misconfigured) as caught:
        load()
    assert caught.value.message.startswith(f"the configuration file {path} cannot be read: ")


def test_a_file_that_was_asked_for_must_exist(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "gone.toml"
    with pytest.raises(Misconfigured) as caught:
        load(path)
    assert caught.value.message == f"the configuration file {path} does not exist"
    monkeypatch.setenv("AUDOBON_CONFIG", str(path))
    with pytest.raises(Misconfigured, match="does not exist"):
        load()


def test_the_file_is_looked_for_where_variables_say(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_file() == home / ".config" / "audobon" / "audobon.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert config_file() == Path("/elsewhere/audobon/audobon.toml")
    monkeypatch.setenv("AUDOBON_CONFIG", "/chosen.toml")
    assert config_file() == Path("/chosen.toml")


def test_the_data_folder_is_expanded_absolute_and_never_the_current_one_by_accident(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", "~/comics")
    assert load().storage.folder == home / "comics"
    monkeypatch.chdir(home)
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", "here")
    assert load().storage.folder == home / "here"
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", "")
    assert load().storage.folder == home / ".local" / "share" / "audobon"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert load().storage.folder == Path("/data/audobon")


def test_the_home_of_somebody_unknown_is_a_fault_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDOBON_STORAGE_FOLDER", "~nobody-of-this-name/comics")
    with pytest.raises(Misconfigured, match=r"^AUDOBON_STORAGE_FOLDER: storage\.folder: Could not"):
        load()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1048576", 1 << 20),
        ("400MB", 400 << 20),
        ("400m", 400 << 20),
        ("1.5G", 3 << 29),
        (" 2 GiB ", 2 << 30),
        ("1500000B", 1_500_000),
        ("2048k", 2 << 20),
        ("1T", 1 << 40),
    ],
)
def test_amounts_of_memory_are_read_in_units_of_1024(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-1GB", "1,5GB", "4 potatoes", "1e3", "0x10"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_bytes(text)
    assert caught.value.message == f"{text!r} is not an amount of memory"


@pytest.mark.parametrize(
    ("text", "count"), [("400", 400), (" 7B ", 7), ("1023k", 1023 << 10), ("0.9MB", 943718)]
)
def test_less_than_a_megabyte_is_taken_for_a_forgotten_unit(text: str, count: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_bytes(text)
    assert caught.value.message == f"{text.strip()} is only {count} bytes"
    assert caught.value.hint == "write it like 400MB or 1.5GB"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("project", "My Project"),
        ("region", "europe"),
        ("bucket", "gs://pages"),
        ("kms_key", "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"),
        ("service_url", "http://worker.example.net"),
        ("service_account", "worker"),
        ("database_instance", "production"),
    ],
)
def test_a_name_that_google_would_not_take_is_a_fault(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"AUDOBON_CLOUD_{name.upper()}", text)
    with pytest.raises(Misconfigured, match=f"cloud.{name} must look like"):
        load()


def test_names_that_google_takes_are_taken(home: Path) -> None:
    write(
        home,
        '[cloud]\nproject = "example.com:my-project-1"\nregion = "europe-west10"\nbucket = "pages.x.com"\n'
        'kms_key = "projects/p/locations/global/keyRings/r/cryptoKeys/k"\n'
        'service_url = "http://127.0.0.1:8080/tasks"\nservice_account = "w@p.iam.gserviceaccount.com"\n'
        'database_instance = "example.com:my-project-1:us-central1:production"\n',
    )
    assert load().cloud.region == "europe-west10"
