variables {
  project = "audobon-sample"
  prefix  = "audobon"
  labels  = { app = "audobon" }
  agents  = { storage = "storage@example.iam.gserviceaccount.com", cloud_sql = "sql@example.iam.gserviceaccount.com" }
  keys = {
    keyring  = { location = "us-central1" }
    storage  = { location = "us-central1", agents = ["storage"] }
    backup   = { location = "us", agents = ["storage"] }
    database = { location = "us-central1", agents = ["cloud_sql"], protection_level = "HSM" }
  }
  users = {
    worker = { key = "keyring", role = "roles/cloudkms.cryptoKeyEncrypterDecrypter", account = "worker@example.iam.gserviceaccount.com" }
  }
}

run "a_ring_for_each_place_and_a_key_for_each_kind" {
  command = plan

  assert {
    condition     = toset(keys(google_kms_key_ring.this)) == toset(["us", "us-central1"])
    error_message = "The rings are not those of the places where something is encrypted."
  }

  assert {
    condition     = { for name, key in google_kms_crypto_key.this : name => key.name } == { for name in ["backup", "database", "keyring", "storage"] : name => "audobon-${name}" }
    error_message = "The keys are not those asked for."
  }

  assert {
    condition     = alltrue([for key in google_kms_crypto_key.this : key.rotation_period == "7776000s" && key.destroy_scheduled_duration == "2592000s"])
    error_message = "Keys are not renewed every 90 days, or do not wait for 30 before they are gone."
  }

  assert {
    condition     = google_kms_crypto_key.this["database"].version_template[0].protection_level == "HSM"
    error_message = "A key that should be in an HSM is not."
  }
}

run "services_use_their_own_keys_alone" {
  command = plan

  assert {
    condition = { for name, grant in google_kms_crypto_key_iam_member.agents : name => grant.member } == {
      "backup/storage"     = "serviceAccount:storage@example.iam.gserviceaccount.com"
      "database/cloud_sql" = "serviceAccount:sql@example.iam.gserviceaccount.com"
      "storage/storage"    = "serviceAccount:storage@example.iam.gserviceaccount.com"
    }
    error_message = "A service may use a key that is not for it, or may not use its own."
  }

  assert {
    condition     = google_kms_crypto_key_iam_member.users["worker"].member == "serviceAccount:worker@example.iam.gserviceaccount.com"
    error_message = "The worker cannot open keyrings."
  }
}

run "images_are_signed_when_asked" {
  command = plan

  variables {
    signing = { location = "us-central1" }
  }

  assert {
    condition     = google_kms_crypto_key.signing[0].purpose == "ASYMMETRIC_SIGN" && google_kms_crypto_key.signing[0].version_template[0].algorithm == "EC_SIGN_P256_SHA256"
    error_message = "The key for signatures is of another kind."
  }
}

run "refuses_administrators_of_keys" {
  command = plan

  variables {
    users = { worker = { key = "keyring", role = "roles/cloudkms.admin", account = "worker@example.iam.gserviceaccount.com" } }
  }

  expect_failures = [var.users]
}
