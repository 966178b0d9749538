"""The stages, and what differs between them; everything else is equal by construction."""

from typing import Literal, get_args

import msgspec

StageName = Literal["development", "staging", "production"]
STAGES: tuple[StageName, ...] = get_args(StageName)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage may take, keep and cost.

    is_protected        whether what holds data, or serves people, is kept from being destroyed
    is_locked           whether what is kept unchangeable is so for its owner too; cannot be taken back
    takes_signed_images_only  whether an image that our builds did not sign is refused, or only noted
    database_tier       of Cloud SQL: db-custom-CORES-MEGABYTES
    availability_type   ZONAL, or REGIONAL: another zone takes over by itself
    small, large, gpu   instances of each size at most; what bounds the spending
    awake               instances of the small size that are kept awake
    dispatchers         whether tasks are released from the cloud (1), or from the creator's machine alone (0)
    log_days            for how long logs can be asked
    audit_days          for how long the audit log is kept unchangeable
    budget              of a month, in whole units of the billing account's currency
    """

    name: StageName
    is_protected: bool
    is_locked: bool
    takes_signed_images_only: bool
    database_tier: str
    availability_type: Literal["ZONAL", "REGIONAL"]
    most_disk_gigabytes: int
    backups_kept: int
    small: int
    large: int
    gpu: int
    awake: int
    dispatchers: Literal[0, 1]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    log_days: int
    audit_days: int
    flow_sampling: float
    budget: int


_ALL = (
    Stage(
        name="development",
        is_protected=False,
        is_locked=False,
        takes_signed_images_only=False,
        database_tier="db-custom-1-3840",
        availability_type="ZONAL",
        most_disk_gigabytes=50,
        backups_kept=7,
        small=2,
        large=1,
        gpu=1,
        awake=0,
        dispatchers=0,
        log_level="DEBUG",
        log_days=30,
        audit_days=30,
        flow_sampling=0.1,
        budget=50,
    ),
    Stage(
        name="staging",
        is_protected=True,
        is_locked=False,
        takes_signed_images_only=True,
        database_tier="db-custom-1-3840",
        availability_type="ZONAL",
        most_disk_gigabytes=100,
        backups_kept=7,
        small=4,
        large=2,
        gpu=1,
        awake=0,
        dispatchers=0,
        log_level="INFO",
        log_days=30,
        audit_days=90,
        flow_sampling=0.25,
        budget=100,
    ),
    Stage(
        name="production",
        is_protected=True,
        is_locked=True,
        takes_signed_images_only=True,
        database_tier="db-custom-2-7680",
        availability_type="REGIONAL",
        most_disk_gigabytes=500,
        backups_kept=30,
        small=10,
        large=4,
        gpu=2,
        awake=0,
        dispatchers=1,
        log_level="INFO",
        log_days=90,
        audit_days=400,
        flow_sampling=0.5,
        budget=500,
    ),
)

BY_NAME: dict[StageName, Stage] = {stage.name: stage for stage in _ALL}
