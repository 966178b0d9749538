variables {
  project     = "audobon-sample"
  prefix      = "audobon"
  labels      = { app = "audobon" }
  access_logs = { location = "us-central1", kms_key = "projects/p/locations/l/keyRings/r/cryptoKeys/storage", keep_days = 90 }
  buckets = {
    blobs = {
      location = "us-central1"
      kms_key  = "projects/p/locations/l/keyRings/r/cryptoKeys/storage"
      lifecycle_rules = [
        { action = { type = "SetStorageClass", storageClass = "NEARLINE" }, condition = { age = 30, matchesPrefix = ["result/", "page/"] } },
        { action = { type = "Delete" }, condition = { isLive = false, daysSinceNoncurrentTime = 3 } },
        { action = { type = "AbortIncompleteMultipartUpload" }, condition = { age = 7 } },
      ]
    }
    backup = {
      location       = "US"
      regions        = ["us-east1", "us-west1"]
      kms_key        = "projects/p/locations/us/keyRings/r/cryptoKeys/backup"
      retention_days = 7
      is_locked      = true
    }
  }
  grants = {
    writer = { bucket = "backup", role = "projects/audobon-sample/roles/adder", account = "writer@example.iam.gserviceaccount.com" }
  }
}

run "nobody_outside_reads_anything" {
  command = plan

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access])
    error_message = "A bucket could be made public."
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.versioning[0].enabled == (length(bucket.retention_policy) == 0) && bucket.force_destroy == false && bucket.logging[0].log_bucket == "audobon-sample-audobon-access-logs"])
    error_message = "A bucket keeps neither versions nor a term, could be destroyed with what lies in it, or logs no access."
  }

  assert {
    condition     = google_storage_bucket.this["blobs"].encryption[0].default_kms_key_name == "projects/p/locations/l/keyRings/r/cryptoKeys/storage"
    error_message = "A bucket is encrypted with another key."
  }
}

run "rules_are_those_of_the_json" {
  command = plan

  assert {
    condition     = [for rule in google_storage_bucket.this["blobs"].lifecycle_rule : one(rule.action).type] == ["SetStorageClass", "Delete", "AbortIncompleteMultipartUpload", "Delete"]
    error_message = "The rules are others, or in another order."
  }

  assert {
    condition     = one(google_storage_bucket.this["blobs"].lifecycle_rule[0].condition).age == 30 && one(google_storage_bucket.this["blobs"].lifecycle_rule[0].condition).matches_prefix == tolist(["result/", "page/"])
    error_message = "A condition went wrong on its way."
  }

  assert {
    condition     = one(google_storage_bucket.this["blobs"].lifecycle_rule[1].condition).with_state == "ARCHIVED"
    error_message = "isLive is not what Terraform calls the state."
  }
}

run "backups_lie_in_two_regions_and_cannot_be_taken_back" {
  command = plan

  assert {
    condition     = google_storage_bucket.this["backup"].custom_placement_config[0].data_locations == toset(["US-EAST1", "US-WEST1"]) && google_storage_bucket.this["backup"].rpo == "ASYNC_TURBO"
    error_message = "Backups lie in one region, or follow late."
  }

  assert {
    condition     = tonumber(google_storage_bucket.this["backup"].retention_policy[0].retention_period) == 604800 && google_storage_bucket.this["backup"].retention_policy[0].is_locked
    error_message = "A backup could be removed at once."
  }

  assert {
    condition     = length(google_storage_bucket.this["blobs"].retention_policy) == 0
    error_message = "What is erased could not be removed."
  }
}

run "the_writer_writes_and_nobody_else_does" {
  command = plan

  assert {
    condition     = keys(google_storage_bucket_iam_member.this) == ["writer"] && google_storage_bucket_iam_member.this["writer"].role == "projects/audobon-sample/roles/adder"
    error_message = "Others have rights, or the writer has more."
  }
}

run "refuses_a_rule_without_a_condition" {
  command = plan

  variables {
    buckets = { blobs = { location = "us-central1", kms_key = "k", lifecycle_rules = [{ action = { type = "Delete" }, condition = {} }] } }
    grants  = {}
  }

  expect_failures = [var.buckets]
}

run "refuses_a_lock_without_a_term" {
  command = plan

  variables {
    buckets = { blobs = { location = "us-central1", kms_key = "k", is_locked = true } }
    grants  = {}
  }

  expect_failures = [var.buckets]
}

run "refuses_everybody" {
  command = plan

  variables {
    grants = { open = { bucket = "blobs", role = "roles/storage.objectViewer", account = "allUsers" } }
  }

  expect_failures = [var.grants]
}
