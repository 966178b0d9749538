# When people are told. Each alert says what is to be done; the thresholds come from the stage.

resource "google_monitoring_alert_policy" "above" {
  for_each = { for name, alert in local.alerts : name => alert if !contains(var.silent_alerts, name) }

  project               = var.project
  display_name          = "Audobon ${var.stage}: ${each.value.what}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels
  user_labels           = merge(var.labels, { room = each.value.room })

  conditions {
    display_name = each.value.what

    condition_threshold {
      filter          = each.value.filter
      comparison      = lookup(each.value, "comparison", "COMPARISON_GT")
      threshold_value = each.value.threshold
      duration        = "${lookup(each.value, "minutes", 0) * 60}s"

      denominator_filter = lookup(each.value, "of", null)

      aggregations {
        alignment_period     = "${lookup(each.value, "period", 300)}s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = lookup(each.value, "reducer", "REDUCE_NONE")
        group_by_fields      = lookup(each.value, "by", [])
      }

      dynamic "denominator_aggregations" {
        for_each = lookup(each.value, "of", null) == null ? [] : [true]

        content {
          alignment_period     = "${lookup(each.value, "period", 300)}s"
          per_series_aligner   = each.value.aligner
          cross_series_reducer = lookup(each.value, "reducer", "REDUCE_NONE")
          group_by_fields      = lookup(each.value, "by", [])
        }
      }

      # Told when it will be so, if it goes on like this.
      dynamic "forecast_options" {
        for_each = lookup(each.value, "forecast_hours", 0) == 0 ? [] : [each.value.forecast_hours]

        content {
          forecast_horizon = "${forecast_options.value * 3600}s"
        }
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Audobon ${var.stage}: ${each.value.what}"
    content   = each.value.advice
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.counted, google_logging_metric.measured, google_logging_metric.database_backup]
}

# What tells by its silence: a backup that nobody made raises no error.
resource "google_monitoring_alert_policy" "absent" {
  for_each = toset(var.daily_jobs)

  project               = var.project
  display_name          = "Audobon ${var.stage}: ${each.value} has not succeeded for a day"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels
  user_labels           = merge(var.labels, { room = "backup" })

  conditions {
    display_name = "${each.value} has not succeeded for a day"

    condition_absent {
      filter   = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"${var.prefix}-${each.value}\" AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result = \"succeeded\""
      duration = "84600s"

      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.job_name"]
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Audobon ${var.stage}: ${each.value} has not succeeded for a day"
    content   = "See the job's last runs: `gcloud run jobs executions list --job ${var.prefix}-${each.value}`; run it: `gcloud run jobs execute ${var.prefix}-${each.value}`. Until it succeeds, what was made since the last one could be lost."
  }

  alert_strategy {
    auto_close = "86400s"
  }
}

# Slower than at the same hour a week ago: no fixed threshold knows what is usual here.
resource "google_monitoring_alert_policy" "unusual" {
  project               = var.project
  display_name          = "Audobon ${var.stage}: calls take over twice as long as a week ago"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = merge(var.labels, { room = "compute" })

  conditions {
    display_name = "The slowest twentieth of calls takes over twice as long as a week ago"

    condition_prometheus_query_language {
      query               = "${local.slow} > 2 * (${replace(local.slow, "[30m]", "[30m] offset 1w")})"
      duration            = "900s"
      evaluation_interval = "300s"
      alert_rule          = "SlowerThanAWeekAgo"
      rule_group          = "audobon"
      labels              = { room = "compute" }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Audobon ${var.stage}: calls take over twice as long as a week ago"
    content   = "Look at the dashboard *Audobon ${var.stage}: compute*: a new revision (roll it back), a busy database, or larger pages?"
  }

  alert_strategy {
    auto_close = "86400s"
  }
}

locals {
  slow = "histogram_quantile(0.95, sum by (le, service_name) (rate(run_googleapis_com:request_latencies_bucket{monitored_resource=\"cloud_run_revision\",service_name=~\"${var.prefix}-.*\"}[30m])))"
}
