"""What runs in the cloud: the worker service by size, pools, jobs, functions; and the queues."""

import math
from typing import Any

from audobon.cloud.stages import Stage
from audobon.queue.dispatching import BANDS, Band, lane_name
from audobon.queue.rules import default_rules
from audobon.queue.tasks import CATEGORIES, Category

SMALL = "small"
"""The size that the service is called by when nothing says another."""

# source: Cloud Tasks waits for 30 minutes at most, read 2026-11-25; longer work is for the pool.
_LONGEST_SECONDS = 1800
_MOST_PER_SECOND = 500.0
_DELIVERY_ATTEMPTS = 10
_DELIVERY_SECONDS = 3600
_MOST_DOUBLINGS = 16

# How the instances are shared out when everybody wants them.
_SHARES: dict[Category, float] = {"interactive": 0.5, "batch": 0.4, "maintenance": 0.1}
_BAND_SHARES: dict[Band, float] = {"high": 0.25, "normal": 0.5, "low": 0.25}


def services(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return the sizes of the worker service; each instance does one task at a time, with all it has."""
    equal = {
        "arguments": ["cloud", "serve"],
        "concurrency": 1,
        "timeout_seconds": _LONGEST_SECONDS,
    }
    return {
        "small": {
            "description": "Tasks that a small model does: letters, panels, small pages.",
            "cpus": 2,
            "memory_mebibytes": 4096,
            "scratch_mebibytes": 1024,
            "gpu": None,
            "min_instances": stage.awake,
            "max_instances": stage.small,
            **equal,
        },
        "large": {
            "description": "Tasks on large pages, without a graphics card.",
            "cpus": 8,
            "memory_mebibytes": 16384,
            "scratch_mebibytes": 2048,
            "gpu": None,
            "min_instances": 0,
            "max_instances": stage.large,
            **equal,
        },
        "gpu": {
            "description": "Tasks on a graphics card (L4).",
            "cpus": 4,
            "memory_mebibytes": 16384,
            "scratch_mebibytes": 2048,
            "gpu": "nvidia-l4",
            "min_instances": 0,
            "max_instances": stage.gpu,
            **equal,
        },
    }


def pools(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return what nobody calls: the dispatcher, and workers for what takes longer than a call may."""
    return {
        "dispatcher": {
            "description": "Releases tasks into Cloud Tasks by rank.",
            "image_of": "small",
            "account": "dispatcher",
            "arguments": ["cloud", "dispatch"],
            "cpus": 1,
            "memory_mebibytes": 1024,
            "scratch_mebibytes": 64,
            "gpu": None,
            # The engine on the creator's machine releases too; one here does it while that one is off.
            "instances": stage.dispatchers,
        },
        "long": {
            "description": "Takes tasks that last longer than Cloud Tasks waits.",
            "image_of": "large",
            "account": "worker",
            "arguments": ["cloud", "work"],
            "cpus": 4,
            "memory_mebibytes": 16384,
            "scratch_mebibytes": 2048,
            "gpu": None,
            # Each is paid for while it is there: somebody asks for them when there is such work.
            "instances": 0,
        },
    }


def jobs() -> dict[str, dict[str, Any]]:
    """Return what is done by the clock, and the migration, which a deploy calls."""

    def job(account: str, arguments: str, schedule: str | None, hours: float) -> dict[str, Any]:
        return {
            "room": arguments.split()[0],
            "image_of": "small",
            "account": account,
            "arguments": arguments.split(),
            "schedule": schedule,
            "cpus": 2,
            "memory_mebibytes": 4096,
            "timeout_seconds": int(hours * 3600),
            "max_retries": 1,
        }

    return {
        "backup": job("backup-writer", "backup now", "17 1 * * *", 4),
        "backup-verify": job("backup-writer", "backup verify", "47 2 * * 0", 12),
        "backup-drill": job("backup-writer", "backup drill", "17 4 * * *", 4),
        "backup-prune": job("pruner", "backup prune --yes", "47 5 * * *", 2),
        "migrate": job("migrator", "database migrate", None, 1) | {"max_retries": 0},
    }


DAILY_JOBS = ("backup", "backup-drill")
"""Jobs whose silence for a day raises the alarm."""


def functions() -> dict[str, dict[str, Any]]:
    """Return the functions by name, and what starts each: uploads, the clock, or a message."""

    def function(description: str, **facts: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {"bucket": None, "schedule": None, "publishers": [], "cpus": 1}
        usual |= {"memory_mebibytes": 512, "timeout_seconds": 120, "max_instances": 3}
        return {"description": description, **usual, **facts}

    return {
        "inspect_upload": function(
            "Looks at what was uploaded, draws a small picture of it, and asks for the work.",
            bucket="uploads",
            memory_mebibytes=2048,
            timeout_seconds=540,
            max_instances=10,
        ),
        "report_lifecycle": function("Tells what the lifecycle rules move and remove.", schedule="7 6 * * *"),
        "stop_placement": function(
            "Sends no more work to the cloud once a budget is used up.", publishers=["billing"]
        ),
        "verify_backup": function(
            "Sees that backups are whole and young, and how far back the database can be restored.",
            schedule="7 * * * *",
            timeout_seconds=540,
        ),
        "notice_dead_letter": function("Tells of a task that was given up.", publishers=["worker"]),
    }


def queues(stage: Stage, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the queues of Cloud Tasks, one for each category and band, with their rates and bounds.

    Together they deliver no more at once than there are instances, but at least one each: what waits in
    Cloud Tasks no longer obeys its rank.
    """
    slots = sum(each["max_instances"] * each["concurrency"] for each in services(stage).values())
    found = {}
    for category in CATEGORIES:
        rules = default_rules(category)
        first = max(1, math.ceil(rules.retry.first_seconds))
        most = max(first, math.ceil(rules.retry.most_seconds))
        for band in BANDS:
            share = math.floor(slots * _SHARES[category] * _BAND_SHARES[band])
            concurrency = max(1, min(share, rules.max_running or share))
            rate = rules.rate_per_second or min(_MOST_PER_SECOND, 10.0 * concurrency)
            found[lane_name(prefix, category, band)] = {
                "dispatches_per_second": rate,
                "concurrent_dispatches": concurrency,
                "max_attempts": _DELIVERY_ATTEMPTS,
                "max_retry_seconds": _DELIVERY_SECONDS,
                "min_backoff_seconds": first,
                "max_backoff_seconds": most,
                "max_doublings": min(_MOST_DOUBLINGS, math.ceil(math.log2(most / first))),
            }
    return found


def triggers(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return what starts which build: a proposal, the main line, or a release that somebody approves."""

    def trigger(description: str, on: str, pattern: str, file: str, account: str) -> dict[str, Any]:
        return {
            "description": description,
            "on": on,
            "pattern": pattern,
            "filename": f"cloudbuild/{file}.yaml",
            "account": account,
            "needs_approval": False,
        }

    if stage.name == "development":
        return {
            "test": trigger("Tests what is proposed.", "pull_request", "^main$", "test", "builder"),
            "build": trigger(
                "Builds, tests and signs the main line.", "branch", "^main$", "build", "builder"
            ),
            "deploy": trigger("Deploys to development.", "branch", "^main$", "development", "deployer"),
        }
    release = trigger(
        f"Deploys a release to {stage.name}.", "tag", r"^v\d+\.\d+\.\d+$", stage.name, "deployer"
    )
    return {"deploy": release | {"needs_approval": stage.name == "production"}}
