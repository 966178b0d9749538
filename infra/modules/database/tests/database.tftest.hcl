variables {
  project           = "audobon-sample"
  region            = "us-central1"
  name              = "audobon-database"
  labels            = { app = "audobon" }
  tier              = "db-custom-2-7680"
  availability_type = "REGIONAL"
  private_network   = "projects/p/global/networks/audobon"
  services_range    = "audobon-services"
  kms_key           = "projects/p/locations/l/keyRings/r/cryptoKeys/database"
  backup_location   = "us"
  backups_kept      = 30
  recovery_days     = 7
  accounts          = { worker = "audobon-worker@audobon-sample.iam.gserviceaccount.com" }
}

run "restorable_protected_and_reached_from_inside" {
  command = plan

  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "One of the two protections is missing."
  }

  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].point_in_time_recovery_enabled && google_sql_database_instance.this.settings[0].backup_configuration[0].transaction_log_retention_days == 7
    error_message = "It cannot be restored to an instant of the last week."
  }

  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled == false && google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    error_message = "It can be reached from outside, or without a certificate."
  }

  assert {
    condition     = google_sql_database_instance.this.settings[0].disk_autoresize_limit == 200
    error_message = "Its disk grows without a bound."
  }
}

run "accounts_log_in_by_identity" {
  command = plan

  assert {
    condition     = google_sql_user.accounts["worker"].name == "audobon-worker@audobon-sample.iam" && google_sql_user.accounts["worker"].type == "CLOUD_IAM_SERVICE_ACCOUNT"
    error_message = "The worker logs in by another name, or by a password."
  }

  assert {
    condition     = anytrue([for flag in google_sql_database_instance.this.settings[0].database_flags : flag.name == "cloudsql.iam_authentication" && flag.value == "on"])
    error_message = "The database takes no identities."
  }
}

run "a_stage_to_throw_away_is_not_protected" {
  command = plan

  variables {
    is_protected = false
  }

  assert {
    condition     = google_sql_database_instance.this.deletion_protection == false && google_sql_database_instance.this.settings[0].deletion_protection_enabled == false
    error_message = "It cannot be thrown away."
  }
}

run "refuses_a_machine_with_shared_cores" {
  command = plan

  variables {
    tier = "db-f1-micro"
  }

  expect_failures = [var.tier]
}

run "refuses_a_log_longer_than_google_keeps" {
  command = plan

  variables {
    recovery_days = 30
  }

  expect_failures = [var.recovery_days]
}

run "refuses_an_old_postgresql" {
  command = plan

  variables {
    version_name = "POSTGRES_13"
  }

  expect_failures = [var.version_name]
}
