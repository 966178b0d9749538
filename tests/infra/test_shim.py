"""The provider that knows a schema and touches nothing, asked by the real Terraform."""

import re
from pathlib import Path

import pytest
from offline import HERE, Offline, TerraformMissing, find_terraform
from shim.schema import read_schema

KEY = "projects/sample-project/locations/us-central1/keyRings/sample/cryptoKeys/pages"


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "main.tf"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def after(plan: dict, address: str) -> dict:
    return next(each["change"]["after"] for each in plan["resource_changes"] if each["address"] == address)


def test_sound_hcl_is_valid(offline: Offline, sample: Path) -> None:
    assert offline.validate(sample).text.strip() == "Success! The configuration is valid."


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rotation_period =", "rotation_perriod =", 'Did you mean "rotation_period"?'),
        ("encryption {", "encrypted {", 'Blocks of type "encrypted" are not expected here.'),
        ('  location = "us-central1"\n\n  encryption', "  encryption", 'The argument "location" is required'),
        ("      age = 7", '      age = "old"', "a number is required"),
        ("age = 7", "age_days = 7", 'An argument named "age_days" is not expected here.'),
        ("name = google_kms_crypto_key.pages.id", "name = google_kms_crypto_key.page.id", "been declared"),
        ("google_cloud_run_v2_service.worker.uri", "google_cloud_run_v2_service.worker.address",
         "This object has no argument, nested block, or exported attribute"),
        ("INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INTERNAL", "but may be one of INGRESS_TRAFFIC_ALL,"),
        ("  template {", '  uri = "https://mine"\n\n  template {', 'Google decides "uri"; it cannot be set'),
        ("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "LATEST", "one of TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"),
        ("var.percent\n", "var.share\n", "An input variable with the name"),
        ('resource "google_kms_key_ring"', 'resource "google_kms_keyring"', "does not support resource type"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(offline: Offline, sample: Path, old: str, new: str, said: str) -> None:
    change(sample, old, new)

    result = offline.validate(sample)

    assert result.status == 1
    assert said in " ".join(re.sub(r"[╷│╵]", "", result.errors).split())


def test_a_mistake_is_shown_with_its_line(offline: Offline, sample: Path) -> None:
    change(sample, "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INTERNAL")

    said = offline.validate(sample).errors

    assert 'on main.tf line 62, in resource "google_cloud_run_v2_service" "worker":' in said
    assert '62:   ingress  = "INTERNAL"' in said


def test_what_google_decides_is_unknown_in_a_plan(offline: Offline, sample: Path) -> None:
    plan = offline.plan(sample)

    assert "key_ring" not in after(plan, "google_kms_crypto_key.pages")
    assert after(plan, "google_storage_bucket.pages")["encryption"] == [{}]
    assert plan["planned_values"]["outputs"]["key"] == {"sensitive": False}


def test_an_all_knowing_plan_shows_which_key_encrypts_what(all_knowing: Offline) -> None:
    plan = all_knowing.plan(all_knowing.copy(HERE / "sample"))

    assert after(plan, "google_storage_bucket.pages")["encryption"] == [{"default_kms_key_name": KEY}]
    assert plan["planned_values"]["outputs"]["key"]["value"] == KEY


def test_modules_are_tested_by_terraform_itself(offline: Offline, sample: Path) -> None:
    assert "Success! 3 passed, 0 failed." in offline.test(sample).output


def test_a_test_of_a_module_that_fails_is_seen(offline: Offline, sample: Path) -> None:
    change(sample, 'name     = "sample-pages"', 'name     = "other-pages"')

    result = offline.test(sample)

    assert result.status == 1
    assert "The bucket has another name." in result.text


def test_nothing_is_written_beside_the_hcl(offline: Offline, sample: Path) -> None:
    offline.plan(sample)

    assert sorted(path.name for path in (HERE / "sample").rglob("*")) == [
        "main.tf",
        "sample.tftest.hcl",
        "tests",
    ]


def test_google_is_not_asked(offline: Offline, sample: Path) -> None:
    change(sample, "~> 6.50", '~> 6.50"\n    }\n    random = {\n      source  = "hashicorp/random')
    (sample / "more.tf").write_text('resource "random_id" "this" {\n  byte_length = 4\n}\n', encoding="utf-8")

    result = offline.run(sample, "init", "-no-color")

    assert result.status == 1
    assert "127.0.0.1:9" in result.text


def test_without_any_terraform_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(TerraformMissing, match="make setup"):
        find_terraform()


def test_the_schema_is_of_the_version_that_the_hcl_asks_for() -> None:
    schema = read_schema()

    assert (schema["provider"], schema["version"]) == ("hashicorp/google", "6.50.0")
    assert schema["read_from"] == "@cdktf/provider-google 16.12.1"
