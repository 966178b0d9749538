"""The admin API of Cloud SQL: instances, backups, point-in-time clones, users, and what the connector asks.

source  cloud.google.com/sql/docs/postgres/admin-api/rest; what it has beyond is 404
"""

import itertools
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from google.cloud import sqladmin_v1
from google.protobuf import json_format

from fakes.api import DAY_SECONDS, FakeApi
from fakes.certificates import Authority
from fakes.faults import Faults
from fakes.http_server import HttpAnswer, HttpRequest, HttpServer, Route
from fakes.refusal import Refused

_INSTANCE_ID = re.compile(r"[a-z]([a-z0-9-]{0,96}[a-z0-9])?")
_VERSION = re.compile(r"POSTGRES_\d+")
_PREFIXES = ("/v1", "/sql/v1beta4")
_USUAL_LOG_DAYS = 7
_OUTPUT_ONLY = {
    "state", "connectionName", "ipAddresses", "serverCaCert", "createTime", "selfLink", "etag", "kind",
    "serviceAccountEmailAddress",
}  # fmt: skip
_IAM_KINDS = ("CLOUD_IAM_USER", "CLOUD_IAM_SERVICE_ACCOUNT", "CLOUD_IAM_GROUP")


@dataclass
class _Instance:
    public: dict[str, Any]
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    backups: dict[str, dict[str, Any]] = field(default_factory=dict)
    operation: str = ""


@dataclass
class _Operation:
    public: dict[str, Any]
    ready_at: float
    finish: Callable[[], None]


@dataclass(frozen=True)
class Clone:
    """An instance that was made from another, as it was at an instant; None: as it is."""

    source: str
    target: str
    point_in_time: float | None


class FakeSqlAdmin(FakeApi):
    """The API, by JSON over HTTP.

    seconds_to_finish  how long an operation takes, by the clock; 0: it is done at the next look
    clones             the instances that were made from others
    """

    api: ClassVar[str] = "sqladmin"

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        super().__init__(clock, faults)
        self._instances: dict[tuple[str, str], _Instance] = {}
        self._operations: dict[tuple[str, str], _Operation] = {}
        self._numbers = itertools.count(1)
        self._authority = Authority()
        self.seconds_to_finish = 0.0
        self.clones: list[Clone] = []

    def install(self, server: HttpServer) -> None:
        """Serve it, under both of the addresses that Google has for it."""
        server.serve([route for prefix in _PREFIXES for route in self._routes(prefix)], self)

    def _routes(self, prefix: str) -> list[Route]:
        project = f"{prefix}/projects/{{project}}"
        one = f"{project}/instances/{{instance}}"
        table: list[tuple[str, str, str, Callable[[HttpRequest], Any]]] = [
            ("instances.insert", "POST", f"{project}/instances", self._insert),
            ("instances.list", "GET", f"{project}/instances", self._list),
            ("connect.generateEphemeralCert", "POST", f"{one}:generateEphemeralCert", self._certify),
            ("instances.get", "GET", one, lambda request: self._found(request).public),
            ("instances.patch", "PATCH", one, self._patch),
            ("instances.delete", "DELETE", one, self._delete),
            ("instances.clone", "POST", f"{one}/clone", self._clone),
            ("instances.restoreBackup", "POST", f"{one}/restoreBackup", self._restore),
            ("connect.get", "GET", f"{one}/connectSettings", self._connect_settings),
            ("backupRuns.insert", "POST", f"{one}/backupRuns", self._back_up),
            ("backupRuns.list", "GET", f"{one}/backupRuns", self._list_backups),
            ("backupRuns.get", "GET", f"{one}/backupRuns/{{backup}}", self._get_backup),
            ("users.insert", "POST", f"{one}/users", self._insert_user),
            ("users.list", "GET", f"{one}/users", lambda request: _items(self._found(request).users)),
            ("databases.insert", "POST", f"{one}/databases", self._insert_database),
            (
                "databases.list",
                "GET",
                f"{one}/databases",
                lambda request: _items(self._found(request).databases),
            ),
            ("operations.get", "GET", f"{project}/operations/{{operation}}", self._get_operation),
        ]
        return [
            Route(f"sqladmin.{name}", method, pattern, _as_answer(handler))
            for name, method, pattern, handler in table
        ]

    def _insert(self, request: HttpRequest) -> Any:
        wanted = _parsed(request.json(), sqladmin_v1.DatabaseInstance)
        project, name = request.names["project"], wanted.get("name", "")
        if _INSTANCE_ID.fullmatch(name) is None:
            raise Refused(400, f"Invalid request: instance name ({name}).", reason="invalid")
        if (project, name) in self._instances:
            raise Refused(409, "The Cloud SQL instance already exists.", reason="instanceAlreadyExists")
        if _VERSION.fullmatch(wanted.get("databaseVersion", "")) is None:
            raise Refused(400, "Invalid request: databaseVersion.", reason="invalid")
        if not wanted.get("settings", {}).get("tier"):
            raise Refused(400, "Invalid request: settings.tier.", reason="invalid")
        _check_backups(wanted)
        self._make(project, name, wanted)
        return self._start(project, name, "CREATE", lambda: self._set_state(project, name, "RUNNABLE"))

    def _list(self, request: HttpRequest) -> Any:
        self._settle()
        project = request.names["project"]
        return {
            "kind": "sql#instancesList",
            "items": [each.public for key, each in sorted(self._instances.items()) if key[0] == project],
        }

    def _patch(self, request: HttpRequest) -> Any:
        instance = self._free(request)
        change = _parsed(request.json(), sqladmin_v1.DatabaseInstance)
        given = change.get("settings", {}).pop("settingsVersion", None)
        present = instance.public["settings"]["settingsVersion"]
        if given is not None and given != present:
            raise Refused(412, "Condition does not match.", reason="staleData")
        wanted = _merged(instance.public, {key: change[key] for key in change if key not in _OUTPUT_ONLY})
        _check_backups(wanted)

        def finish() -> None:
            wanted["settings"]["settingsVersion"] = str(int(present) + 1)
            instance.public.update(wanted)

        return self._start(request.names["project"], request.names["instance"], "UPDATE", finish)

    def _delete(self, request: HttpRequest) -> Any:
        instance = self._free(request)
        if instance.public["settings"].get("deletionProtectionEnabled"):
            raise Refused(
                400, "The instance is protected. Disable the deletion protection.", reason="invalidOperation"
            )
        key = request.names["project"], request.names["instance"]
        return self._start(*key, "DELETE", lambda: self._remove(key))

    def _clone(self, request: HttpRequest) -> Any:
        source = self._free(request)
        context = _parsed(request.json().get("cloneContext", {}), sqladmin_v1.CloneContext)
        project, name = request.names["project"], context.get("destinationInstanceName", "")
        if _INSTANCE_ID.fullmatch(name) is None or (project, name) in self._instances:
            raise Refused(409, f"Invalid destination instance ({name}).", reason="instanceAlreadyExists")
        instant = None
        if "pointInTime" in context:
            instant = datetime.fromisoformat(context["pointInTime"]).timestamp()
            self._check_point(source, instant)
        copied = {key: value for key, value in source.public.items() if key not in _OUTPUT_ONLY}
        copied = json_format.MessageToDict(
            json_format.ParseDict(copied, sqladmin_v1.DatabaseInstance.pb(sqladmin_v1.DatabaseInstance()))
        )
        self._make(project, name, copied | {"name": name})
        self.clones.append(Clone(request.names["instance"], name, instant))

        def finish() -> None:
            made = self._instances[project, name]
            made.users, made.databases = dict(source.users), dict(source.databases)
            self._set_state(project, name, "RUNNABLE")

        return self._start(project, name, "CLONE", finish, busy=[source])

    def _back_up(self, request: HttpRequest) -> Any:
        instance = self._free(request)
        number = str(int(self.clock() * 1000) + next(self._numbers))
        run = {
            "kind": "sql#backupRun",
            "id": number,
            "instance": request.names["instance"],
            "type": "ON_DEMAND",
            "status": "RUNNING",
            "description": request.json().get("description", ""),
            "startTime": _iso(self.clock()),
        }
        instance.backups[number] = run

        def finish() -> None:
            run.update(status="SUCCESSFUL", endTime=_iso(self.clock()))

        started = self._start(request.names["project"], request.names["instance"], "BACKUP_VOLUME", finish)
        return started | {"backupContext": {"backupId": number}}

    def _list_backups(self, request: HttpRequest) -> Any:
        runs = list(self._found(request).backups.values())[::-1]
        return {"kind": "sql#backupRunsList", "items": runs}

    def _get_backup(self, request: HttpRequest) -> Any:
        backups = self._found(request).backups
        if request.names["backup"] not in backups:
            raise Refused(404, "The backup run does not exist.", reason="backupRunDoesNotExist")
        return backups[request.names["backup"]]

    def _restore(self, request: HttpRequest) -> Any:
        self._free(request)
        context = request.json().get("restoreBackupContext", {})
        source = self._instances.get((request.names["project"], context.get("instanceId", "")))
        run = None if source is None else source.backups.get(str(context.get("backupRunId", "")))
        if run is None or run["status"] != "SUCCESSFUL":
            raise Refused(404, "The backup run does not exist.", reason="backupRunDoesNotExist")
        key = request.names["project"], request.names["instance"]
        return self._start(*key, "RESTORE_VOLUME", lambda: self._set_state(*key, "RUNNABLE"))

    def _insert_user(self, request: HttpRequest) -> Any:
        instance = self._free(request)
        user = _parsed(request.json(), sqladmin_v1.User)
        name, kind = user.get("name", ""), user.get("type", "BUILT_IN")
        if not name or name in instance.users:
            raise Refused(400, f"Invalid request: user ({name}).", reason="invalid")
        if kind in _IAM_KINDS:
            flags = instance.public["settings"].get("databaseFlags", [])
            if {"name": "cloudsql.iam_authentication", "value": "on"} not in flags:
                raise Refused(400, "The flag cloudsql.iam_authentication must be on.", reason="invalid")
            if name.endswith(".gserviceaccount.com"):
                raise Refused(400, "Invalid user name: omit .gserviceaccount.com.", reason="invalid")
        elif not user.get("password"):
            raise Refused(400, "Invalid request: password.", reason="invalid")
        user.pop("password", None)

        def finish() -> None:
            instance.users[name] = user | {"type": kind}

        return self._start(request.names["project"], request.names["instance"], "CREATE_USER", finish)

    def _insert_database(self, request: HttpRequest) -> Any:
        instance = self._free(request)
        database = _parsed(request.json(), sqladmin_v1.Database)
        name = database.get("name", "")
        if not name or name in instance.databases:
            raise Refused(400, f"Invalid request: database ({name}).", reason="invalid")

        def finish() -> None:
            instance.databases[name] = database

        return self._start(request.names["project"], request.names["instance"], "CREATE_DATABASE", finish)

    def _get_operation(self, request: HttpRequest) -> Any:
        self._settle()
        found = self._operations.get((request.names["project"], request.names["operation"]))
        if found is None:
            raise Refused(404, "The operation does not exist.", reason="operationDoesNotExist")
        return found.public

    def _connect_settings(self, request: HttpRequest) -> Any:
        public = self._found(request).public
        return {
            "kind": "sql#connectSettings",
            "region": public["region"],
            "databaseVersion": public["databaseVersion"],
            "backendType": "SECOND_GEN",
            "ipAddresses": public["ipAddresses"],
            "serverCaCert": public["serverCaCert"],
            "pscEnabled": False,
        }

    def _certify(self, request: HttpRequest) -> Any:
        self._found(request)
        key = request.json().get("public_key", "")
        try:
            certificate = self._authority.certify(key, until=self.clock() + 3600)
        except ValueError as error:
            raise Refused(400, "Provided public key was in an invalid or unsupported format.") from error
        return {"ephemeralCert": {"kind": "sql#sslCert", "cert": certificate}}

    def _make(self, project: str, name: str, wanted: dict[str, Any]) -> None:
        region = wanted.setdefault("region", "us-central1")
        wanted["settings"].update(settingsVersion="1")
        wanted.update(
            kind="sql#instance",
            project=project,
            state="PENDING_CREATE",
            connectionName=f"{project}:{region}:{name}",
            createTime=_iso(self.clock()),
            ipAddresses=[{"type": "PRIVATE", "ipAddress": "10.0.0.3"}],
            serverCaCert={"kind": "sql#sslCert", "cert": self._authority.certificate},
            serviceAccountEmailAddress=f"p1-{name}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
        )
        wanted.pop("rootPassword", None)
        self._instances[project, name] = _Instance(wanted)

    def _check_point(self, source: _Instance, instant: float) -> None:
        backups = source.public["settings"].get("backupConfiguration", {})
        if not backups.get("pointInTimeRecoveryEnabled"):
            raise Refused(400, "Point-in-time recovery is not enabled for the instance.", reason="invalid")
        days = backups.get("transactionLogRetentionDays", _USUAL_LOG_DAYS)
        made_at = datetime.fromisoformat(source.public["createTime"]).timestamp()
        if not max(made_at, self.clock() - days * DAY_SECONDS) <= instant <= self.clock():
            raise Refused(400, "The timestamp for point-in-time recovery is out of range.", reason="invalid")

    def _found(self, request: HttpRequest) -> _Instance:
        self._settle()
        found = self._instances.get((request.names["project"], request.names["instance"]))
        if found is None:
            raise Refused(404, "The Cloud SQL instance does not exist.", reason="instanceDoesNotExist")
        return found

    def _free(self, request: HttpRequest) -> _Instance:
        """Return an instance that no operation is under way on."""
        found = self._found(request)
        if found.operation:
            raise Refused(
                409,
                "Operation failed because another operation was already in progress.",
                reason="operationInProgress",
            )
        return found

    def _start(
        self,
        project: str,
        name: str,
        kind: str,
        finish: Callable[[], None],
        *,
        busy: list[_Instance] | None = None,
    ) -> dict[str, Any]:
        operation = str(uuid.uuid4())
        instances = [self._instances[project, name], *(busy or [])]

        def finish_all() -> None:
            for instance in instances:
                instance.operation = ""
            finish()

        public = {
            "kind": "sql#operation",
            "name": operation,
            "operationType": kind,
            "status": "PENDING",
            "targetId": name,
            "targetProject": project,
            "insertTime": _iso(self.clock()),
        }
        for instance in instances:
            instance.operation = operation
        self._operations[project, operation] = _Operation(
            public, self.clock() + self.seconds_to_finish, finish_all
        )
        return dict(public)

    def _settle(self) -> None:
        for operation in self._operations.values():
            if operation.public["status"] != "DONE" and operation.ready_at <= self.clock():
                operation.public.update(status="DONE", endTime=_iso(self.clock()))
                operation.finish()

    def _set_state(self, project: str, name: str, state: str) -> None:
        self._instances[project, name].public["state"] = state

    def _remove(self, key: tuple[str, str]) -> None:
        del self._instances[key]


def _as_answer(handler: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], HttpAnswer]:
    return lambda request: HttpAnswer(handler(request))


def _items(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"items": [{"name": name, **each} for name, each in sorted(found.items())]}


def _parsed(body: Any, kind: Any) -> dict[str, Any]:
    """Return a body as Google would say it again. raises Refused for names that the message has not."""
    try:
        message = json_format.ParseDict(body, kind.pb(kind()))
    except json_format.ParseError as error:
        raise Refused(400, f"Invalid JSON payload received. {error}", reason="badRequest") from error
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def _merged(present: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(present)
    for key, value in change.items():
        before = merged.get(key)
        merged[key] = (
            _merged(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
        )
    return merged


def _check_backups(instance: dict[str, Any]) -> None:
    settings = instance.get("settings", {})
    backups = settings.get("backupConfiguration", {})
    if backups.get("pointInTimeRecoveryEnabled") and not backups.get("enabled"):
        raise Refused(400, "Point-in-time recovery needs backups to be enabled.", reason="invalid")
    if settings.get("availabilityType") == "REGIONAL" and not backups.get("pointInTimeRecoveryEnabled"):
        raise Refused(
            400, "Regional availability needs backups and point-in-time recovery.", reason="invalid"
        )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
