variables {
  project     = "audobon-sample"
  region      = "us-central1"
  prefix      = "audobon"
  stage       = "production"
  labels      = { app = "audobon" }
  kms_key     = "projects/p/locations/l/keyRings/r/cryptoKeys/images"
  repository  = "projects/audobon-sample/locations/us-central1/connections/source/repositories/audobon"
  accounts    = { builder = "builder@example.iam.gserviceaccount.com", deployer = "deployer@example.iam.gserviceaccount.com" }
  account_ids = { builder = "projects/audobon-sample/serviceAccounts/builder@example.iam.gserviceaccount.com", deployer = "projects/audobon-sample/serviceAccounts/deployer@example.iam.gserviceaccount.com" }
  readers     = { worker = "worker@example.iam.gserviceaccount.com" }
  triggers = {
    deploy = { description = "Deploys.", on = "tag", pattern = "^v1$", filename = "cloudbuild/production.yaml", account = "deployer", needs_approval = true }
    test   = { description = "Tests.", on = "pull_request", pattern = "^main$", filename = "cloudbuild/test.yaml", account = "builder" }
  }
}

run "images_cannot_be_replaced_under_their_name" {
  command = plan

  assert {
    condition     = google_artifact_registry_repository.images.docker_config[0].immutable_tags && google_artifact_registry_repository.images.kms_key_name == "projects/p/locations/l/keyRings/r/cryptoKeys/images"
    error_message = "An image could be replaced, or is encrypted with another key."
  }

  assert {
    condition     = google_artifact_registry_repository_iam_member.builder.member == "serviceAccount:builder@example.iam.gserviceaccount.com" && keys(google_artifact_registry_repository_iam_member.readers) == ["worker"]
    error_message = "Others may write or read images."
  }
}

run "builds_run_as_their_own_accounts_and_production_is_approved" {
  command = plan

  assert {
    condition     = google_cloudbuild_trigger.this["deploy"].approval_config[0].approval_required && google_cloudbuild_trigger.this["deploy"].service_account == "projects/audobon-sample/serviceAccounts/deployer@example.iam.gserviceaccount.com"
    error_message = "Production is deployed without approval, or by another account."
  }

  assert {
    condition     = google_cloudbuild_trigger.this["test"].repository_event_config[0].pull_request[0].comment_control == "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
    error_message = "What strangers propose runs before anybody looked at it."
  }

  assert {
    condition     = google_cloudbuild_trigger.this["deploy"].substitutions["_REPOSITORY"] == "us-central1-docker.pkg.dev/audobon-sample/audobon-images"
    error_message = "A build does not know where images go."
  }
}

run "only_signed_images_run" {
  command = plan

  variables {
    signing = { key = "projects/p/locations/l/keyRings/r/cryptoKeys/images", version = "projects/p/locations/l/keyRings/r/cryptoKeys/images/cryptoKeyVersions/1", public_key = "PEM", is_enforced = true }
  }

  assert {
    condition     = google_binary_authorization_policy.this[0].default_admission_rule[0].enforcement_mode == "ENFORCED_BLOCK_AND_AUDIT_LOG" && google_binary_authorization_policy.this[0].default_admission_rule[0].evaluation_mode == "REQUIRE_ATTESTATION"
    error_message = "An image without the signature would run."
  }
}

run "without_a_repository_nothing_is_built" {
  command = plan

  variables {
    repository = null
  }

  assert {
    condition     = length(google_cloudbuild_trigger.this) == 0
    error_message = "A trigger waits for a repository that is not connected."
  }
}

run "refuses_to_deploy_what_is_only_proposed" {
  command = plan

  variables {
    triggers = { bad = { description = "Deploys.", on = "pull_request", pattern = "^main$", filename = "cloudbuild/production.yaml", account = "deployer" } }
  }

  expect_failures = [var.triggers]
}
