variables {
  project           = "audobon-sample"
  region            = "us-central1"
  prefix            = "audobon"
  stage             = "production"
  labels            = { app = "audobon" }
  addresses         = { operators = "operators@example.org" }
  domain            = "comics.example.org"
  database_instance = "audobon-database"
  logs              = { work = { description = "Work.", filter = "jsonPayload.category=\"job\"", keep_days = 90, indexed = { "jsonPayload.event" = "INDEX_TYPE_STRING" } } }
  level             = "INFO"
  kms_key           = "projects/p/locations/l/keyRings/r/cryptoKeys/logs"
  daily_jobs        = ["backup", "backup-drill"]
  thresholds = {
    oldest_task_seconds      = 3600
    queue_depth              = 12
    instances                = 9
    errors_in_5_minutes      = 20
    connections              = 80
    backup_age_seconds       = 93600
    drill_age_seconds        = 93600
    recovery_log_age_seconds = 1800
  }
}

run "logs_are_kept_for_as_long_as_the_stage_wants" {
  command = plan

  assert {
    condition     = google_logging_project_bucket_config.this["work"].retention_days == 90 && google_logging_project_bucket_config.this["work"].cmek_settings[0].kms_key_name == "projects/p/locations/l/keyRings/r/cryptoKeys/logs"
    error_message = "Logs are kept for another time, or without our key."
  }

  assert {
    condition     = google_logging_project_sink.this["work"].filter == "(jsonPayload.category=\"job\") AND severity >= INFO"
    error_message = "Other lines are kept than the stage wants."
  }
}

run "what_peers_forget_raises_an_alarm" {
  command = plan

  assert {
    condition     = length(setsubtract(["dead_letters", "oldest_task", "recovery_log_old", "backup_failed", "backup_old", "drill_old", "certificate_ends", "database_disk"], keys(google_monitoring_alert_policy.above))) == 0
    error_message = "An alert is missing."
  }

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.absent)) == toset(["backup", "backup-drill"])
    error_message = "A backup that nobody made would go unnoticed."
  }

  assert {
    condition     = google_monitoring_alert_policy.above["oldest_task"].conditions[0].condition_threshold[0].threshold_value == 3600 && google_monitoring_alert_policy.above["database_disk"].conditions[0].condition_threshold[0].forecast_options[0].forecast_horizon == "172800s"
    error_message = "A threshold is another than the settings say."
  }
}

run "an_alert_can_be_left_out" {
  command = plan

  variables {
    silent_alerts = ["door_closed"]
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.above), "door_closed")
    error_message = "An alert that nobody wants is there."
  }
}

run "without_a_domain_nobody_looks_at_one" {
  command = plan

  variables {
    domain = null
  }

  assert {
    condition     = length(google_monitoring_uptime_check_config.this) == 0
    error_message = "A check looks at a domain that is none."
  }
}

run "there_is_a_dashboard_for_each_question" {
  command = plan

  assert {
    condition     = toset(keys(google_monitoring_dashboard.this)) == toset(["queue", "compute", "database", "backup", "costs"])
    error_message = "A dashboard is missing."
  }

  assert {
    condition     = jsondecode(google_monitoring_dashboard.this["queue"].dashboard_json).displayName == "Audobon production: queue"
    error_message = "A dashboard has another name."
  }
}

run "refuses_alerts_that_nobody_hears" {
  command = plan

  variables {
    addresses = {}
  }

  expect_failures = [var.addresses]
}

run "refuses_logs_of_a_week" {
  command = plan

  variables {
    logs = { work = { description = "Work.", filter = "severity>=INFO", keep_days = 7 } }
  }

  expect_failures = [var.logs]
}
