"""Settings: defaults, then the file, then the environment; the only reader of all three.

Nothing has to be set: without a file and without variables Audobon runs on this machine alone.
"""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from audobon.errors import InvalidInput, Misconfigured
from audobon.settings import CRYPTO_KEY, Settings

_PREFIX = "AUDOBON_"
# No setting: it is read where it is needed, and never shown.
_PASSPHRASE = _PREFIX + "KEYS_PASSPHRASE"
# No settings either: they belong to a shell in which a person tries the cloud, and never to a file.
_ENDPOINT = _PREFIX + "GCP_ENDPOINT_"
# As in PATH, but gs://BUCKET stays together.
_PLACES_PARTED = re.escape(os.pathsep) + r"(?!//)"
_MOST_BYTES = 1 << 60
_LARGEST_NUMBER = 1_000_000
_MOST_WORKERS = 64
_KINDS = ("page", "result", "other", "user")
_PROTECTORS = ("auto", "secret-store", "passphrase", "unlock-file", "cloud-kms")
_REGION = r"[a-z]+-[a-z]+\d+"
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
_BUCKET_PLACE = f"gs://{_BUCKET}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?"
# What Google takes for a name: the pattern, and how a right one looks.
_CLOUD_NAMES = {
    "project": (r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "my-project"),
    "region": (_REGION, "us-central1"),
    "second_region": (_REGION, "europe-west1"),
    "bucket": (_BUCKET, "my-project-audobon"),
    "backup_bucket": (_BUCKET, "my-project-audobon-backup"),
    "kms_key": (CRYPTO_KEY, "projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY"),
    "tasks_queue_prefix": (r"[A-Za-z0-9-]{1,60}", "audobon"),
    "service_url": (
        r"https://[^\s/]+(/\S*)?|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?",
        "https://…run.app",
    ),
    "service_account": (r"[^\s@]+@[^\s@]+", "worker@PROJECT.iam.gserviceaccount.com"),
    "database_instance": (r"[^\s:]+(:[^\s:]+)?:[^\s:]+:[^\s:]+", "PROJECT:REGION:NAME"),
}
_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Setting(msgspec.Struct, frozen=True):
    """One value and where it came from: default, the file's path, or a variable's name."""

    name: str
    value: Any
    origin: str


def load(path: Path | None = None) -> Settings:
    """Return the settings in force; Misconfigured names every fault at once."""
    return _build(*_gather(path))


def explain(path: Path | None = None) -> list[Setting]:
    """Return every setting with its origin, checked like `load`."""
    gathered, faults = _gather(path)
    settings = msgspec.to_builtins(_build(gathered, faults), enc_hook=str)
    return [
        Setting(f"{section}.{name}", value, gathered.get(f"{section}.{name}", ("", "default"))[1])
        for section, values in settings.items()
        for name, value in values.items()
    ]


def config_file() -> Path:
    """Return where the configuration file is looked for."""
    if chosen := os.environ.get(_PREFIX + "CONFIG"):
        return Path(chosen)
    return _home("XDG_CONFIG_HOME", "~/.config") / "audobon" / "audobon.toml"


def keyrings_folder() -> Path:
    """Return where the files lie that unlock keyrings: never in the data folder, which they protect."""
    return config_file().parent / "keyrings"


def passphrase_from_environment() -> str:
    """Return the keyring's passphrase as the environment has it; empty when it has none."""
    return os.environ.get(_PASSPHRASE, "")


def endpoint_variable(api: str) -> str:
    """Return the variable that says where an API of Google Cloud is spoken to."""
    return _ENDPOINT + api.upper()


def cloud_endpoint(api: str) -> str:
    """Return where an API of Google Cloud is spoken to as the environment has it; empty when it has not."""
    return os.environ.get(endpoint_variable(api), "")


def spool_folder() -> Path:
    """Return where that lies which is on its way into buckets; while nothing is, it may be deleted."""
    return _home("XDG_CACHE_HOME", "~/.cache") / "audobon" / "buckets"


def environment_of_programs(**more: str) -> dict[str, str]:
    """Return the environment that a program of somebody else's is started with: this one, and more."""
    return {**os.environ, **more}


def default_folder() -> Path:
    """Return the data folder used when none is set."""
    return _home("XDG_DATA_HOME", "~/.local/share") / "audobon"


def _home(variable: str, otherwise: str) -> Path:
    try:
        return Path(os.environ.get(variable) or Path(otherwise).expanduser())
    except RuntimeError as error:
        raise Misconfigured(
            f"this user has no home folder, and {variable} is not set",
            hint="set HOME or AUDOBON_STORAGE_FOLDER",
        ) from error


def parse_bytes(text: str) -> int:
    """Return the bytes of "400MB", "1.5G" or "4096"; units of 1024.

    raises  InvalidInput when it is none of these
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", text.upper())
    if match is None:
        raise InvalidInput(f"{text!r} is not an amount of memory", hint="write it like 400MB or 1.5GB")
    count = int(float(match[1]) * _UNITS[match[2]])
    if count > _MOST_BYTES:
        raise InvalidInput(f"{text.strip()} is more memory than there is anywhere", hint="write it like 8GB")
    if count < _UNITS["M"]:
        raise InvalidInput(f"{text.strip()} is only {count} bytes", hint="write it like 400MB or 1.5GB")
    return count


def cache_bytes(settings: Settings) -> int:
    """Return the most that results from before may take; 0 when none are to be kept."""
    text = settings.cache.budget.strip()
    return 0 if text == "0" else parse_bytes(text)


def _gather(path: Path | None) -> tuple[dict[str, tuple[Any, str]], list[str]]:
    """Collect what is set, as name -> (value, origin), and the faults: names nobody knows."""
    known = {
        f"{section.name}.{field.name}"
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    }
    found: dict[str, tuple[Any, str]] = {}
    faults: list[str] = []
    file = path or config_file()
    for name, value in _read_file(file, is_required=path is not None).items():
        found[name] = (value, str(file))
    for variable, text in sorted(os.environ.items()):
        if variable.startswith(_ENDPOINT):
            continue
        if variable.startswith(_PREFIX) and variable not in (_PREFIX + "CONFIG", _PASSPHRASE):
            section, _, rest = variable.removeprefix(_PREFIX).lower().partition("_")
            found[f"{section}.{rest}"] = (text, variable)
    for name, (_, origin) in found.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            # As it would have to be written where the wrong one stands.
            said = near[0] if near else ""
            if origin.startswith(_PREFIX):
                said = _PREFIX + said.replace(".", "_").upper()
            faults.append(f"{origin}: unknown setting {name}" + (f" (nearest: {said})" if near else ""))
    return found, faults


def _read_file(path: Path, *, is_required: bool) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if is_required or _PREFIX + "CONFIG" in os.environ:
            raise Misconfigured(f"the configuration file {path} does not exist") from error
        return {}
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the configuration file {path} cannot be read: {error}") from error
    flat: dict[str, Any] = {}
    for section, values in tree.items():
        if not isinstance(values, dict):
            flat[section] = values
        else:
            flat.update({f"{section}.{name}": value for name, value in values.items()})
    return flat


def _build(found: dict[str, tuple[Any, str]], unknown: list[str]) -> Settings:
    faults = list(unknown)
    sections: dict[str, Any] = {}
    for section in msgspec.structs.fields(Settings):
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(section.type):
            name = f"{section.name}.{field.name}"
            if name in found:
                value, origin = found[name]
                if name == "storage.keep_days" and isinstance(value, str):
                    value = _as_table(value)
                try:
                    if name == "backup.places":
                        value = _as_places(value)
                    values[field.name] = msgspec.convert(value, field.type, strict=False, dec_hook=_as_path)
                except (msgspec.ValidationError, ValueError) as error:
                    faults.append(f"{origin}: {name}: {error}")
        sections[section.name] = section.type(**values)
    settings = Settings(**sections)
    if settings.storage.folder == Path():
        storage = msgspec.structs.replace(settings.storage, folder=default_folder())
        settings = msgspec.structs.replace(settings, storage=storage)
    faults += _contradictions(settings)
    if faults:
        raise Misconfigured("; ".join(faults), hint="audobon config show")
    return settings


def _as_places(value: Any) -> Any:
    """Return places as a list: folders as whole paths, buckets as they are; no list stays as it is."""
    if isinstance(value, str):
        value = [part for part in re.split(_PLACES_PARTED, value) if part]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return value
    return [each if each.startswith("gs://") else str(_as_path(Path, each)) for each in value]


def _as_table(text: str) -> Any:
    """Return what a variable says as "page=30,result=7"; other text as it is, for its type to be refused."""
    pairs = [pair.split("=") for pair in text.split(",") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        return text
    return {name.strip(): value.strip() for name, value in pairs}


def _as_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        try:
            return Path(value).expanduser().absolute() if value else Path()
        except RuntimeError as error:
            raise ValueError(str(error)) from error
    raise ValueError(f"expected {kind.__name__}")


def _contradictions(settings: Settings) -> list[str]:
    faults = []
    if not 0 < settings.memory.share <= 1:
        faults.append("memory.share must lie above 0 and not above 1")
    if settings.memory.budget:
        try:
            parse_bytes(settings.memory.budget)
        except InvalidInput as error:
            faults.append(f"memory.budget: {error.message}")
    try:
        cache_bytes(settings)
    except InvalidInput as error:
        faults.append(f"cache.budget: {error.message}")
    if not 0 <= settings.storage.keep_removed_days <= _LARGEST_NUMBER:
        faults.append(f"storage.keep_removed_days must lie between 0 and {_LARGEST_NUMBER}")
    if not 1 <= settings.storage.scrub_days <= _LARGEST_NUMBER:
        faults.append(f"storage.scrub_days must lie between 1 and {_LARGEST_NUMBER}")
    if settings.database.shipping not in ("async", "sync", "off"):
        faults.append("database.shipping must be async, sync or off")
    for name in ("ship_seconds", "keep_days"):
        if not 0 < getattr(settings.database, name) <= _LARGEST_NUMBER:
            faults.append(f"database.{name} must lie above 0 and not above {_LARGEST_NUMBER}")
    if settings.keys.protector not in _PROTECTORS:
        faults.append(f"keys.protector must be {', '.join(_PROTECTORS[:-1])} or {_PROTECTORS[-1]}")
    for name, (pattern, example) in _CLOUD_NAMES.items():
        text = getattr(settings.cloud, name)
        if text and re.fullmatch(pattern, text) is None:
            faults.append(f"cloud.{name} must look like {example}")
    if re.search(r"://[^/@]*:[^/@]*@|password=", settings.database.postgres_url):
        faults.append("database.postgres_url must not hold a password: put it into ~/.pgpass")
    for kind, days in settings.storage.keep_days.items():
        if kind not in _KINDS or not 0 <= days <= _LARGEST_NUMBER:
            faults.append(
                f"storage.keep_days must give {', '.join(_KINDS)} days from 0, not {kind} = {days:g}"
            )
    if settings.models.threads < 0:
        faults.append("models.threads must not be negative")
    if not 1 <= settings.models.max_megabytes <= _LARGEST_NUMBER:
        faults.append(f"models.max_megabytes must lie between 1 and {_LARGEST_NUMBER}")
    if settings.models.device not in ("auto", "cpu", "cuda"):
        faults.append("models.device must be auto, cpu or cuda")
    if not 1 <= settings.compute.workers <= _MOST_WORKERS:
        faults.append(f"compute.workers must lie between 1 and {_MOST_WORKERS}")
    for name in ("idle_seconds", "stall_seconds"):
        if not 0 < getattr(settings.compute, name) <= _LARGEST_NUMBER:
            faults.append(f"compute.{name} must lie above 0 and not above {_LARGEST_NUMBER}")
    for name in ("max_hours", "max_drill_hours"):
        if not 0 < getattr(settings.backup, name) <= _LARGEST_NUMBER:
            faults.append(f"backup.{name} must lie above 0 and not above {_LARGEST_NUMBER}")
    for name in ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_days"):
        if not 0 <= getattr(settings.backup, name) <= _LARGEST_NUMBER:
            faults.append(f"backup.{name} must lie between 0 and {_LARGEST_NUMBER}")
    for place in settings.backup.places:
        if place.startswith("gs://") and not re.fullmatch(_BUCKET_PLACE, place):
            faults.append(f"backup.places: {place} is not written like gs://my-bucket/audobon")
    if settings.logs.level not in ("debug", "info", "warning", "error"):
        faults.append("logs.level must be debug, info, warning or error")
    for name, value in msgspec.to_builtins(settings.pictures).items():
        if not 0 < value <= _LARGEST_NUMBER:
            faults.append(f"pictures.{name} must lie above 0 and not above {_LARGEST_NUMBER}")
    for name, value in msgspec.to_builtins(settings.archives).items():
        if not 0 < value <= _LARGEST_NUMBER:
            faults.append(f"archives.{name} must lie above 0 and not above {_LARGEST_NUMBER}")
    return faults
