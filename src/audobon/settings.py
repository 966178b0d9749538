"""What can be set, and what holds when nothing is: one section per room."""

from pathlib import Path

import msgspec

CRYPTO_KEY = r"projects/[^/]+/locations/[^/]+/keyRings/[\w-]{1,63}/cryptoKeys/[\w-]{1,63}"
"""What the name of a key of Cloud KMS looks like, as a regular expression."""


class StorageSettings(msgspec.Struct, frozen=True):
    """Where Audobon keeps what it needs.

    folder             database, pages under way, prepared models, logs
    nearline, archive  where blobs seldom read lie, such as on another disk; empty: beside the others
    keep_removed_days  for how long what was removed can be brought back
    keep_days          by kind (page, result, other, user): what is younger is not removed
    scrub_days         within so many days every byte is read and proved
    """

    folder: Path = Path()
    nearline: Path = Path()
    archive: Path = Path()
    keep_removed_days: float = 0.0
    keep_days: dict[str, float] = {}
    scrub_days: float = 30.0


class DatabaseSettings(msgspec.Struct, frozen=True):
    """How the database is shipped, so that it can be restored to any commit.

    shipping           async: soon after a commit; sync: before it is acknowledged; off: not at all
    ship_seconds       how soon, at most
    keep_days          for how long each commit can be restored; after that, one state of each day for a month
    postgres_url       of the server that `audobon database postgres` copies; its password lies in ~/.pgpass
    postgres_binaries  folder of pg_basebackup and its like; empty: the PATH is searched
    """

    shipping: str = "async"
    ship_seconds: float = 0.1
    keep_days: float = 7.0
    postgres_url: str = ""
    postgres_binaries: Path = Path()


class KeySettings(msgspec.Struct, frozen=True):
    """How the keyring is protected.

    protector        of a keyring that is made: auto, secret-store, passphrase, unlock-file or cloud-kms
    passphrase_file  its first line is the passphrase; empty: AUDOBON_KEYS_PASSPHRASE, or asked
    """

    protector: str = "auto"
    passphrase_file: str = ""


class MemorySettings(msgspec.Struct, frozen=True):
    """How much memory work may take.

    budget  for all processes of a run together, such as "4GB"; empty: a share of what is free
    share   of the free memory, when no budget is set
    """

    budget: str = ""
    share: float = 0.5


class PictureSettings(msgspec.Struct, frozen=True):
    """What a picture may cost to open.

    max_megapixels         larger ones are refused
    max_seconds            longest decoding or encoding of one page
    max_pixels_per_byte    beyond this, a picture over suspicious_megapixels is refused as a bomb
    """

    max_megapixels: int = 150
    max_seconds: float = 120.0
    suspicious_megapixels: int = 40
    max_pixels_per_byte: int = 2000


class ArchiveSettings(msgspec.Struct, frozen=True):
    """What a book may hold.

    max_ratio  unpacked to packed bytes of one entry, once it unpacks to over 64 MiB
    """

    max_entries: int = 20_000
    max_gigabytes: int = 32
    max_ratio: int = 200


class ModelSettings(msgspec.Struct, frozen=True):
    """How models run.

    threads  processors to use; 0: as tuned, else all this process may use
    device   auto, cpu or cuda
    max_megabytes  largest file of a model that may be added
    """

    threads: int = 0
    device: str = "auto"
    max_megabytes: int = 2000


class ComputeSettings(msgspec.Struct, frozen=True):
    """How the engine works.

    workers        processes that do tasks beside each other
    idle_seconds   a worker without a task for so long ends, until there is one
    stall_seconds  a task that makes no step for so long is taken from its worker
    """

    workers: int = 1
    idle_seconds: float = 60.0
    stall_seconds: float = 600.0


class CacheSettings(msgspec.Struct, frozen=True):
    """How much is kept of what was made, so that it need not be made again.

    budget  the most it may take of the disk, such as "2GB", and never over a tenth of what is free; "0": none
    """

    budget: str = "2GB"


class BackupSettings(msgspec.Struct, frozen=True):
    """Where backups go and how long they are kept.

    places           folders, best on other disks, or gs://BUCKET/PREFIX; in a variable, parted as in PATH
    max_hours        an older newest backup raises the alarm
    max_drill_hours  so does an older last drill
    keep_last, keep_daily, keep_weekly, keep_monthly, keep_days   what `audobon backup prune` leaves
    """

    places: tuple[str, ...] = ()
    max_hours: float = 26.0
    max_drill_hours: float = 26.0
    keep_last: int = 3
    keep_daily: int = 7
    keep_weekly: int = 5
    keep_monthly: int = 12
    keep_days: float = 2.0


class DataSettings(msgspec.Struct, frozen=True):
    """Whose what is kept is.

    project  the person or project that work is for when none is named; empty: you yourself
    """

    project: str = ""


class CloudSettings(msgspec.Struct, frozen=True):
    """The project's Google Cloud side; nothing of it is touched while nothing is set.

    project               its id
    region, second_region where work is done, and where the second copy of backups lies
    bucket, backup_bucket names of the buckets for what is stored, and for backups
    kms_key               what protects keyrings: projects/…/locations/…/keyRings/…/cryptoKeys/…
    tasks_queue_prefix    what the names of its queues in Cloud Tasks begin with
    service_url           where the worker service answers: https://…
    service_account       as whom tasks are delivered to it: …@….iam.gserviceaccount.com
    database_instance     of Cloud SQL: project:region:instance
    """

    project: str = ""
    region: str = "us-central1"
    second_region: str = ""
    bucket: str = ""
    backup_bucket: str = ""
    kms_key: str = ""
    tasks_queue_prefix: str = "audobon"
    service_url: str = ""
    service_account: str = ""
    database_instance: str = ""


class LogSettings(msgspec.Struct, frozen=True):
    """What is written to the log.

    level  debug, info, warning or error
    """

    level: str = "info"


class Settings(msgspec.Struct, frozen=True):
    """The whole configuration, one section per room."""

    storage: StorageSettings = StorageSettings()
    database: DatabaseSettings = DatabaseSettings()
    keys: KeySettings = KeySettings()
    memory: MemorySettings = MemorySettings()
    pictures: PictureSettings = PictureSettings()
    archives: ArchiveSettings = ArchiveSettings()
    models: ModelSettings = ModelSettings()
    compute: ComputeSettings = ComputeSettings()
    cache: CacheSettings = CacheSettings()
    backup: BackupSettings = BackupSettings()
    logs: LogSettings = LogSettings()
    data: DataSettings = DataSettings()
    cloud: CloudSettings = CloudSettings()
