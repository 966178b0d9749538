variables {
  project     = "audobon-sample"
  region      = "us-central1"
  prefix      = "audobon"
  stage       = "production"
  labels      = { app = "audobon" }
  log_days    = 400
  keep_days   = 400
  is_locked   = true
  logging_key = "projects/p/locations/l/keyRings/r/cryptoKeys/logs"
  storage_key = "projects/p/locations/l/keyRings/r/cryptoKeys/storage"
  access_logs = "audobon-sample-audobon-access-logs"
  channels    = ["projects/audobon-sample/notificationChannels/1"]
}

run "everything_is_written_down_and_locked" {
  command = plan

  assert {
    condition     = google_project_iam_audit_config.this.service == "allServices" && toset([for config in google_project_iam_audit_config.this.audit_log_config : config.log_type]) == toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])
    error_message = "Some access is not written down."
  }

  assert {
    condition     = google_storage_bucket.audit.retention_policy[0].is_locked && tonumber(google_storage_bucket.audit.retention_policy[0].retention_period) == 34560000 && google_logging_project_bucket_config.audit.locked
    error_message = "The audit log could be shortened."
  }

  assert {
    condition     = google_logging_project_sink.years.unique_writer_identity && google_storage_bucket_iam_member.years.role == "roles/storage.objectCreator"
    error_message = "The sink writes as somebody else, or may do more than write."
  }
}

run "outside_of_production_nothing_is_for_ever" {
  command = plan

  variables {
    stage         = "development"
    log_days      = 30
    keep_days     = 30
    is_locked     = false
    is_disposable = true
  }

  assert {
    condition     = length(google_storage_bucket.audit.retention_policy) == 0 && google_storage_bucket.audit.force_destroy && google_logging_project_bucket_config.audit.locked == false
    error_message = "A stage that is thrown away would leave a bucket for ever."
  }
}

run "changes_that_matter_are_told_at_once" {
  command = plan

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.changes)) == toset(["rights", "roles", "account_keys", "keys", "audit_config", "sinks", "bucket_rights", "network", "database", "refused"])
    error_message = "A change would go unnoticed."
  }

  assert {
    condition     = alltrue([for alert in google_monitoring_alert_policy.changes : alert.notification_channels == tolist(["projects/audobon-sample/notificationChannels/1"])])
    error_message = "An alert tells nobody."
  }
}

run "refuses_a_log_of_a_week" {
  command = plan

  variables {
    keep_days = 7
  }

  expect_failures = [var.keep_days]
}
