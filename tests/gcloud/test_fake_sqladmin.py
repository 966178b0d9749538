"""Cloud SQL's admin API in effigy does what Google's does, also for Google's connector."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from google.auth.credentials import AnonymousCredentials
from google.cloud.sql.connector.client import CloudSQLClient

from audobon.errors import CloudConflict, CloudMisconfigured, CloudNotFound
from audobon.gcloud.clients import RestSession, rest_session
from fakes.cloud import FakeCloud

INSTANCES = "/v1/projects/p/instances"
DAY = 86_400
INSTANCE: dict[str, Any] = {
    "name": "production",
    "databaseVersion": "POSTGRES_17",
    "region": "us-central1",
    "settings": {
        "tier": "db-custom-2-7680",
        "availabilityType": "REGIONAL",
        "deletionProtectionEnabled": True,
        "backupConfiguration": {
            "enabled": True,
            "pointInTimeRecoveryEnabled": True,
            "transactionLogRetentionDays": 7,
        },
        "databaseFlags": [{"name": "cloudsql.iam_authentication", "value": "on"}],
    },
}


@pytest.fixture
def sql(cloud: FakeCloud) -> Iterator[RestSession]:
    session = rest_session("sqladmin")
    done(session, session.call("POST", INSTANCES, body=INSTANCE))
    yield session
    session.close()


def done(sql: RestSession, operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = sql.call("GET", f"/v1/projects/p/operations/{operation['name']}")
    assert found["status"] == "DONE"
    return found


def instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_an_instance_is_made_with_its_names_and_an_operation(sql: RestSession) -> None:
    found = sql.call("GET", f"{INSTANCES}/production")
    assert (found["state"], found["connectionName"]) == ("RUNNABLE", "p:us-central1:production")
    assert found["settings"]["settingsVersion"] == "1"
    assert [each["name"] for each in sql.call("GET", INSTANCES)["items"]] == ["production"]
    # The older address leads to the same.
    assert sql.call("GET", "/sql/v1beta4/projects/p/instances/production") == found
    with pytest.raises(CloudConflict, match="already exists"):
        sql.call("POST", INSTANCES, body=INSTANCE)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Bad_Name"}, "instance name"),
        ({"databaseVersion": "MYSQL_8_0"}, "databaseVersion"),
        ({"settings": {}}, "settings.tier"),
        ({"tire": "db-f1-micro"}, 'no field named "tire"'),
        ({"settings": {"tier": "x", "availabilityType": "REGIONAL"}}, "Regional availability needs"),
        (
            {"settings": {"tier": "x", "backupConfiguration": {"pointInTimeRecoveryEnabled": True}}},
            "needs backups",
        ),
    ],
)
def test_an_instance_that_google_would_not_make_is_refused(
    sql: RestSession, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(CloudMisconfigured, match=words):
        sql.call("POST", INSTANCES, body=INSTANCE | {"name": "other"} | fields)


def test_one_operation_at_a_time(cloud: FakeCloud, sql: RestSession) -> None:
    cloud.sqladmin.seconds_to_finish = 60.0
    operation = sql.call("POST", f"{INSTANCES}/production/backupRuns", body={})
    with pytest.raises(CloudConflict, match="another operation was already in progress"):
        sql.call("PATCH", f"{INSTANCES}/production", body={"settings": {"tier": "db-custom-4-15360"}})
    cloud.clock.turn(61)  # type: ignore[attr-defined]
    done(sql, operation)
    number = operation["backupContext"]["backupId"]
    assert sql.call("GET", f"{INSTANCES}/production/backupRuns/{number}")["status"] == "SUCCESSFUL"


def test_a_change_is_merged_and_one_from_an_older_state_is_refused(sql: RestSession) -> None:
    change = {"settings": {"tier": "db-custom-4-15360", "settingsVersion": "1"}}
    done(sql, sql.call("PATCH", f"{INSTANCES}/production", body=change))
    settings = sql.call("GET", f"{INSTANCES}/production")["settings"]
    assert (settings["tier"], settings["settingsVersion"]) == ("db-custom-4-15360", "2")
    assert settings["backupConfiguration"]["pointInTimeRecoveryEnabled"]
    with pytest.raises(CloudConflict, match="Condition does not match"):
        sql.call("PATCH", f"{INSTANCES}/production", body=change)


def test_a_protected_instance_is_not_deleted(sql: RestSession) -> None:
    with pytest.raises(CloudMisconfigured, match="is protected"):
        sql.call("DELETE", f"{INSTANCES}/production")
    change = {"settings": {"deletionProtectionEnabled": False}}
    done(sql, sql.call("PATCH", f"{INSTANCES}/production", body=change))
    done(sql, sql.call("DELETE", f"{INSTANCES}/production"))
    with pytest.raises(CloudNotFound, match="does not exist"):
        sql.call("GET", f"{INSTANCES}/production")


def test_a_clone_is_of_an_instant_within_the_kept_log(cloud: FakeCloud, sql: RestSession) -> None:
    made_at = cloud.clock()
    cloud.clock.turn(30 * DAY)  # type: ignore[attr-defined]

    def clone(name: str, at: float) -> Any:
        context = {"destinationInstanceName": name, "pointInTime": instant(at)}
        return sql.call("POST", f"{INSTANCES}/production/clone", body={"cloneContext": context})

    for at in (cloud.clock() - 8 * DAY, cloud.clock() + 60, made_at):
        with pytest.raises(CloudMisconfigured, match="out of range"):
            clone("late", at)
    at = cloud.clock() - 2 * DAY
    done(sql, clone("restored", at))
    assert sql.call("GET", f"{INSTANCES}/restored")["state"] == "RUNNABLE"
    assert [(each.source, each.target, each.point_in_time) for each in cloud.sqladmin.clones] == [
        ("production", "restored", at)
    ]


def test_a_clone_of_an_instant_needs_the_log_to_be_kept(sql: RestSession, cloud: FakeCloud) -> None:
    plain = {"name": "development", "databaseVersion": "POSTGRES_17", "settings": {"tier": "db-f1-micro"}}
    done(sql, sql.call("POST", INSTANCES, body=plain))
    context = {"destinationInstanceName": "restored", "pointInTime": instant(cloud.clock())}
    with pytest.raises(CloudMisconfigured, match="is not enabled"):
        sql.call("POST", f"{INSTANCES}/development/clone", body={"cloneContext": context})


def test_a_backup_is_restored_when_it_is_there(sql: RestSession) -> None:
    operation = sql.call("POST", f"{INSTANCES}/production/backupRuns", body={"description": "before"})
    done(sql, operation)
    context = {"backupRunId": operation["backupContext"]["backupId"], "instanceId": "production"}
    body = {"restoreBackupContext": context}
    done(sql, sql.call("POST", f"{INSTANCES}/production/restoreBackup", body=body))
    with pytest.raises(CloudNotFound, match="backup run does not exist"):
        sql.call(
            "POST",
            f"{INSTANCES}/production/restoreBackup",
            body={"restoreBackupContext": context | {"backupRunId": "1"}},
        )


def test_users_who_log_in_by_iam_need_the_flag_and_a_short_name(sql: RestSession) -> None:
    users = f"{INSTANCES}/production/users"
    user = {"name": "worker@p.iam", "type": "CLOUD_IAM_SERVICE_ACCOUNT"}
    done(sql, sql.call("POST", users, body=user))
    assert sql.call("GET", users)["items"] == [user]
    with pytest.raises(CloudMisconfigured, match=r"omit \.gserviceaccount\.com"):
        sql.call("POST", users, body=user | {"name": "worker@p.iam.gserviceaccount.com"})
    with pytest.raises(CloudMisconfigured, match="password"):
        sql.call("POST", users, body={"name": "plain"})
    done(sql, sql.call("PATCH", f"{INSTANCES}/production", body={"settings": {"databaseFlags": []}}))
    done(sql, sql.call("POST", f"{INSTANCES}/production/databases", body={"name": "audobon"}))
    assert [each["name"] for each in sql.call("GET", f"{INSTANCES}/production/databases")["items"]] == [
        "audobon"
    ]


def test_googles_connector_is_told_where_an_instance_is_and_gets_a_certificate(
    cloud: FakeCloud, sql: RestSession
) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    place = cloud.environment()["AUDOBON_GCP_ENDPOINT_SQLADMIN"]

    async def ask() -> tuple[dict[str, Any], tuple[str, datetime]]:
        async with aiohttp.ClientSession() as session:
            client = CloudSQLClient(place, None, AnonymousCredentials(), client=session)
            return (
                await client._get_metadata("p", "us-central1", "production"),
                await client._get_ephemeral("p", "production", pem),
            )

    metadata, (certificate, until) = asyncio.run(ask())
    assert metadata["ip_addresses"] == {"PRIVATE": ["10.0.0.3"]}
    assert metadata["database_version"] == "POSTGRES_17"
    assert load_pem_x509_certificate(certificate.encode()).public_key() == key
    assert until.timestamp() == cloud.clock() + 3600
