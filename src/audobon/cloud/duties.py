"""Who acts in the cloud: one account for each duty, and what it may do there and nowhere else."""

from typing import Any

ACCOUNTS: dict[str, dict[str, Any]] = {
    "worker": {
        "duty": "Does tasks: reads and writes what is stored, and what the database says of tasks.",
        "project_roles": [
            "roles/cloudsql.client",
            "roles/cloudsql.instanceUser",
            "roles/logging.logWriter",
            "roles/monitoring.metricWriter",
        ],
        "acts_as": [],
    },
    "dispatcher": {
        "duty": "Releases tasks from the database into Cloud Tasks.",
        "project_roles": [
            "own:queue_lister",
            "roles/cloudsql.client",
            "roles/cloudsql.instanceUser",
            "roles/logging.logWriter",
        ],
        "acts_as": ["invoker"],
    },
    "invoker": {
        "duty": "What Cloud Tasks shows to the worker service; it may call it, and nothing else.",
        "project_roles": [],
        "acts_as": [],
    },
    "functions": {
        "duty": "Does what events ask for: takes uploads in, reports, tells of trouble.",
        "project_roles": [
            "roles/cloudsql.client",
            "roles/cloudsql.instanceUser",
            "roles/logging.logWriter",
        ],
        "acts_as": [],
    },
    "backup-writer": {
        "duty": "Makes, verifies and tries backups: it can add to them, and take nothing away.",
        "project_roles": [
            "roles/cloudsql.client",
            "roles/cloudsql.instanceUser",
            "roles/logging.logWriter",
        ],
        "acts_as": [],
    },
    "pruner": {
        "duty": "Removes backups that are past their time, and does nothing else.",
        "project_roles": ["roles/logging.logWriter"],
        "acts_as": [],
    },
    "migrator": {
        "duty": "Brings the database's schema up to date at a deploy.",
        "project_roles": [
            "roles/cloudsql.client",
            "roles/cloudsql.instanceUser",
            "roles/logging.logWriter",
        ],
        "acts_as": [],
    },
    "scheduler": {
        "duty": "Starts jobs by the clock.",
        "project_roles": [],
        "acts_as": [],
    },
    "builder": {
        "duty": "Builds, tests and signs images; deploys nothing.",
        "project_roles": ["own:attester", "roles/logging.logWriter"],
        "acts_as": [],
    },
    "deployer": {
        "duty": "Changes which image runs, and which share of calls it gets.",
        "project_roles": ["own:operation_watcher", "roles/logging.logWriter"],
        "acts_as": ["worker", "dispatcher", "backup-writer", "pruner", "migrator"],
    },
}
"""The accounts: what each is for, and what can only be given in the whole project."""

_READ = ["storage.buckets.get", "storage.objects.get", "storage.objects.list"]

ROLES: dict[str, dict[str, Any]] = {
    "object_reader": {
        "title": "reads objects",
        "description": "Reads and lists the objects of a bucket.",
        "permissions": _READ,
    },
    "object_adder": {
        "title": "adds objects",
        "description": "Adds objects and reads them; changes and removes none.",
        "permissions": [*_READ, "storage.objects.create"],
    },
    "object_keeper": {
        "title": "keeps objects",
        "description": "Adds, reads, moves between classes and removes objects.",
        "permissions": [
            *_READ,
            "storage.objects.create",
            "storage.objects.delete",
            "storage.objects.update",
        ],
    },
    "task_releaser": {
        "title": "releases tasks",
        "description": "Puts tasks into a queue, sees what lies there, and takes tasks back.",
        "permissions": [
            "cloudtasks.queues.get",
            "cloudtasks.tasks.create",
            "cloudtasks.tasks.delete",
            "cloudtasks.tasks.get",
            "cloudtasks.tasks.list",
        ],
    },
    "queue_lister": {
        "title": "lists queues",
        "description": "Sees which queues there are.",
        "permissions": ["cloudtasks.queues.list"],
    },
    "deployer": {
        "title": "deploys",
        "description": "Changes what runs in one service, job or worker pool; makes and removes none.",
        "permissions": [
            "run.executions.get",
            "run.jobs.get",
            "run.jobs.run",
            "run.jobs.update",
            "run.revisions.get",
            "run.revisions.list",
            "run.services.get",
            "run.services.update",
            "run.workerpools.get",
            "run.workerpools.update",
        ],
    },
    "attester": {
        "title": "attests",
        "description": "Says of an image that it was built and tested, in the attestor's name.",
        "permissions": [
            "binaryauthorization.attestors.get",
            "containeranalysis.notes.attachOccurrence",
            "containeranalysis.notes.get",
            "containeranalysis.occurrences.create",
            "containeranalysis.occurrences.get",
            "containeranalysis.occurrences.list",
        ],
    },
    "operation_watcher": {
        "title": "watches deploys",
        "description": "Sees how far a change of Cloud Run is.",
        "permissions": ["run.operations.get"],
    },
}
"""Roles of our own: the permissions of the calls that the code makes."""

GRANTS: dict[str, dict[str, str]] = {
    "worker-keeps-blobs": {"bucket": "blobs", "role": "object_keeper", "account": "worker"},
    "worker-takes-uploads": {"bucket": "uploads", "role": "object_keeper", "account": "worker"},
    "worker-delivers": {"bucket": "delivery", "role": "object_adder", "account": "worker"},
    "functions-take-uploads": {"bucket": "uploads", "role": "object_keeper", "account": "functions"},
    "functions-add-blobs": {"bucket": "blobs", "role": "object_adder", "account": "functions"},
    "functions-look-at-backups": {"bucket": "backup", "role": "object_reader", "account": "functions"},
    "writer-reads-blobs": {"bucket": "blobs", "role": "object_reader", "account": "backup-writer"},
    "writer-adds-backups": {"bucket": "backup", "role": "object_adder", "account": "backup-writer"},
    "pruner-keeps-backups": {"bucket": "backup", "role": "object_keeper", "account": "pruner"},
}
"""Who does what in which bucket. The account that makes backups cannot remove any (decision 0026)."""

_USE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"

KEY_USERS: dict[str, dict[str, str]] = {
    "worker-opens-keyring": {"key": "keyring", "role": _USE, "account": "worker"},
    "writer-opens-keyring": {"key": "keyring", "role": _USE, "account": "backup-writer"},
    "pruner-opens-keyring": {"key": "keyring", "role": _USE, "account": "pruner"},
    "functions-open-keyring": {"key": "keyring", "role": _USE, "account": "functions"},
}
"""Who may use the topmost key, which wraps all others."""

DATABASE_USERS = ("worker", "dispatcher", "functions", "backup-writer", "migrator")
"""Who logs in to the database."""
