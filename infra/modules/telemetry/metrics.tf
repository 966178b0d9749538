# Figures that Audobon writes into its log as lines, made into metrics.

resource "google_logging_metric" "counted" {
  for_each = local.counted

  project     = var.project
  name        = "${var.prefix}/${each.key}"
  description = each.value.what
  filter      = "jsonPayload.event=\"${each.value.event}\""

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = each.value.what

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key         = labels.value
        value_type  = "STRING"
        description = "As the line says."
      }
    }
  }

  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }
}

# Cloud SQL's own daily backups are told of in the audit log alone.
resource "google_logging_metric" "database_backup" {
  project     = var.project
  name        = "${var.prefix}/database/backup-failed"
  description = "Daily backups of the database that failed"
  filter      = "${local.instance} AND log_id(\"cloudaudit.googleapis.com/system_event\") AND protoPayload.methodName = \"cloudsql.instances.automatedBackup\" AND protoPayload.metadata.windowStatus = (\"STATUS_FAILED\" OR \"STATUS_ATTEMPT_FAILED\")"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = "Daily backups of the database that failed"
  }
}

resource "google_logging_metric" "measured" {
  for_each = local.measured

  project         = var.project
  name            = "${var.prefix}/${each.key}"
  description     = each.value.what
  filter          = "jsonPayload.event=\"${each.value.event}\""
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = each.value.unit
    display_name = each.value.what

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key         = labels.value
        value_type  = "STRING"
        description = "As the line says."
      }
    }
  }

  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 1.5
      scale              = 0.1
    }
  }
}

locals {
  counted = {
    "queue/dead"    = { what = "Tasks that were given up", event = "task-dead", labels = ["queue", "kind"] }
    "queue/done"    = { what = "Tasks that were done", event = "task-done", labels = ["queue", "kind"] }
    "queue/retried" = { what = "Tasks that are tried again", event = "task-retried", labels = ["queue", "kind"] }
    "backup/failed" = { what = "Backups, verifications and drills that failed", event = "backup-failed", labels = ["deed"] }
  }

  measured = {
    "queue/oldest"     = { what = "How long the oldest task has waited", event = "queue-figures", field = "oldest_ready_seconds", unit = "s", labels = ["queue"] }
    "queue/ready"      = { what = "Tasks that wait", event = "queue-figures", field = "ready", unit = "1", labels = ["queue"] }
    "queue/seconds"    = { what = "How long a task took", event = "task-done", field = "seconds", unit = "s", labels = ["kind"] }
    "backup/age"       = { what = "Age of the newest whole backup", event = "recovery-checked", field = "backup_age_seconds", unit = "s", labels = ["place"] }
    "backup/log-age"   = { what = "How far behind the database's log for recovery is", event = "recovery-checked", field = "recovery_age_seconds", unit = "s", labels = [] }
    "backup/drill-age" = { what = "Time since a restore was last proved", event = "recovery-checked", field = "drill_age_seconds", unit = "s", labels = ["place"] }
    "costs/spent"      = { what = "What work in the cloud cost, by the ledger", event = "task-settled", field = "usd", unit = "USD", labels = ["service"] }
  }
}
