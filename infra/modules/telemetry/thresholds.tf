# Each alert with its figure: what is looked at, when it is too much, and what to do then.

locals {
  own      = "logging.googleapis.com/user/${var.prefix}"
  services = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = starts_with(\"${var.prefix}-\")"
  queues   = "resource.type = \"cloud_tasks_queue\" AND resource.labels.queue_id = starts_with(\"${var.prefix}-\")"
  instance = "resource.type = \"cloudsql_database\" AND resource.labels.database_id = \"${var.project}:${var.database_instance}\""

  alerts = {
    dead_letters = {
      room      = "queue", severity = "ERROR"
      what      = "tasks were given up"
      filter    = "${local.services} AND metric.type = \"${local.own}/queue/dead\""
      aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = ["metric.label.queue"]
      threshold = 0
      advice    = "`audobon queue dead` names them with their reasons; `audobon queue replay` tries them again once that is mended."
    }
    oldest_task = {
      room      = "queue", severity = "ERROR"
      what      = "the oldest task waits for too long"
      filter    = "resource.type = \"cloud_run_worker_pool\" AND metric.type = \"${local.own}/queue/oldest\""
      aligner   = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["metric.label.queue"]
      threshold = var.thresholds.oldest_task_seconds, minutes = 5
      advice    = "Is the queue paused (`audobon queue list`), the dispatcher down, or every instance busy (dashboard *compute*)? More instances: settings of the stage."
    }
    failed_deliveries = {
      room      = "queue", severity = "WARNING"
      what      = "a tenth of Cloud Tasks' deliveries fails"
      filter    = "${local.queues} AND metric.type = \"cloudtasks.googleapis.com/queue/task_attempt_count\" AND metric.labels.response_code != \"ok\""
      of        = "${local.queues} AND metric.type = \"cloudtasks.googleapis.com/queue/task_attempt_count\""
      aligner   = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["resource.label.queue_id"]
      threshold = 0.1, minutes = 10
      advice    = "The worker service answers with errors or not in time: see its log, then the revision that was deployed last."
    }
    deep_queue = {
      room      = "queue", severity = "WARNING"
      what      = "Cloud Tasks holds more than the dispatcher should release"
      filter    = "${local.queues} AND metric.type = \"cloudtasks.googleapis.com/queue/depth\""
      aligner   = "ALIGN_MAX", reducer = "REDUCE_MAX", by = ["resource.label.queue_id"]
      threshold = var.thresholds.queue_depth, minutes = 15
      advice    = "What lies there no longer obeys priority. Look for a second dispatcher, or deliveries that all fail."
    }
    server_errors = {
      room      = "compute", severity = "ERROR"
      what      = "a twentieth of the worker's answers are errors"
      filter    = "${local.services} AND metric.type = \"run.googleapis.com/request_count\" AND metric.labels.response_code_class = \"5xx\""
      of        = "${local.services} AND metric.type = \"run.googleapis.com/request_count\""
      aligner   = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["resource.label.service_name"]
      threshold = 0.05, minutes = 5
      advice    = "Roll the last deploy back if it began with it; else see the worker's log."
    }
    full_memory = {
      room      = "compute", severity = "WARNING"
      what      = "a worker's memory is nearly full"
      filter    = "${local.services} AND metric.type = \"run.googleapis.com/container/memory/utilizations\""
      aligner   = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["resource.label.service_name"]
      threshold = 0.92, minutes = 10
      advice    = "Placement counts memory before it sends a page; what it misses shows here. Take the next size, and report the page's measures."
    }
    many_instances = {
      room      = "compute", severity = "WARNING"
      what      = "nearly all instances are in use"
      filter    = "${local.services} AND metric.type = \"run.googleapis.com/container/instance_count\" AND metric.labels.state = \"active\""
      aligner   = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["resource.label.service_name"]
      threshold = var.thresholds.instances, minutes = 30
      advice    = "Work waits for instances. max_instances bounds what can be spent: raise it on purpose, or let it wait."
    }
    errors_logged = {
      room      = "telemetry", severity = "WARNING"
      what      = "many errors are logged"
      filter    = "${local.services} AND metric.type = \"logging.googleapis.com/log_entry_count\" AND metric.labels.severity = \"ERROR\""
      aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = ["resource.label.service_name"]
      threshold = var.thresholds.errors_in_5_minutes, minutes = 5
      advice    = "`audobon logs`, or Logs Explorer: severity>=ERROR, by jsonPayload.event."
    }
    database_processor = {
      room      = "database", severity = "WARNING"
      what      = "the database's processor is busy"
      filter    = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/cpu/utilization\""
      aligner   = "ALIGN_MEAN"
      threshold = 0.85, minutes = 15
      advice    = "Query insights name the statement. A larger tier is a setting of the stage; changing it takes the database away for a minute."
    }
    database_memory = {
      room      = "database", severity = "WARNING"
      what      = "the database's memory is nearly full"
      filter    = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/memory/utilization\""
      aligner   = "ALIGN_MEAN"
      threshold = 0.93, minutes = 15
      advice    = "Fewer connections, or a larger tier."
    }
    database_disk = {
      room      = "database", severity = "ERROR"
      what      = "the database's disk will be full within two days"
      filter    = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\""
      aligner   = "ALIGN_MEAN", period = 600
      threshold = 0.95, minutes = 60, forecast_hours = 48
      advice    = "It grows by itself up to the bound of the stage (most_disk_gigabytes): raise that, or find what grew."
    }
    database_connections = {
      room      = "database", severity = "WARNING"
      what      = "the database has many connections"
      filter    = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/postgresql/num_backends\""
      aligner   = "ALIGN_MEAN", reducer = "REDUCE_SUM", by = ["resource.label.database_id"]
      threshold = var.thresholds.connections, minutes = 10
      advice    = "Every instance of the worker holds some. Fewer instances, or a larger tier."
    }
    database_numbers = {
      room      = "database", severity = "CRITICAL"
      what      = "the database runs out of transaction numbers"
      filter    = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/postgresql/transaction_id_utilization\""
      aligner   = "ALIGN_MEAN", period = 3600
      threshold = 0.6
      advice    = "Vacuum does not come through: end transactions that stand open for hours."
    }
    database_down = {
      room       = "database", severity = "CRITICAL"
      what       = "the database does not answer"
      filter     = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/up\""
      aligner    = "ALIGN_MEAN", period = 60
      comparison = "COMPARISON_LT", threshold = 1, minutes = 5
      advice     = "In production another zone takes over within minutes. Else: docs/runbooks/database-damaged.md."
    }
    database_backup_failed = {
      room      = "database", severity = "CRITICAL"
      what      = "the database's daily backup failed"
      filter    = "${local.instance} AND metric.type = \"${local.own}/database/backup-failed\""
      aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM"
      threshold = 0
      advice    = "Make one by hand (`gcloud sql backups create`), and see the instance's operations for the reason."
    }
    backup_failed = {
      room      = "backup", severity = "CRITICAL"
      what      = "a backup, a verification or a drill failed"
      filter    = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = starts_with(\"${var.prefix}-\") AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result = \"failed\""
      aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = ["resource.label.job_name"]
      threshold = 0
      advice    = "The job's log says why. `audobon backup verify` names what is damaged; docs/runbooks tells the way back."
    }
    backup_said = {
      room      = "backup", severity = "CRITICAL"
      what      = "a backup was found damaged or incomplete"
      filter    = "${local.services} AND metric.type = \"${local.own}/backup/failed\""
      aligner   = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = ["metric.label.deed"]
      threshold = 0
      advice    = "`audobon backup verify --place gs://...` names what is damaged; `audobon backup repair` takes it from another place."
    }
    backup_old = {
      room      = "backup", severity = "CRITICAL"
      what      = "the newest whole backup is too old"
      filter    = "${local.services} AND metric.type = \"${local.own}/backup/age\""
      aligner   = "ALIGN_PERCENTILE_99", period = 3600, reducer = "REDUCE_MAX", by = ["metric.label.place"]
      threshold = var.thresholds.backup_age_seconds
      advice    = "Run the job by hand, and see why the last ones did not come through."
    }
    drill_old = {
      room      = "backup", severity = "ERROR"
      what      = "no restore was proved for too long"
      filter    = "${local.services} AND metric.type = \"${local.own}/backup/drill-age\""
      aligner   = "ALIGN_PERCENTILE_99", period = 3600, reducer = "REDUCE_MAX", by = ["metric.label.place"]
      threshold = var.thresholds.drill_age_seconds
      advice    = "A backup that nobody restored is a hope. Run the job backup-drill by hand."
    }
    recovery_log_old = {
      room      = "database", severity = "CRITICAL"
      what      = "the database could not be restored to now"
      filter    = "${local.services} AND metric.type = \"${local.own}/backup/log-age\""
      aligner   = "ALIGN_PERCENTILE_99", period = 3600, reducer = "REDUCE_MAX"
      threshold = var.thresholds.recovery_log_age_seconds
      advice    = "Cloud SQL's log for point-in-time recovery lags behind: see the instance's operations; make a backup by hand meanwhile."
    }
    door_closed = {
      room       = "telemetry", severity = "CRITICAL"
      what       = "it cannot be reached from outside"
      filter     = "resource.type = \"uptime_url\" AND metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id = starts_with(\"audobon\")"
      aligner    = "ALIGN_FRACTION_TRUE", period = 60, reducer = "REDUCE_MEAN"
      comparison = "COMPARISON_LT", threshold = 0.5, minutes = 3
      advice     = "Does the domain point to the load balancer, is the certificate active, does the service answer by its own address?"
    }
    certificate_ends = {
      room       = "telemetry", severity = "ERROR"
      what       = "the certificate ends within a fortnight"
      filter     = "resource.type = \"uptime_url\" AND metric.type = \"monitoring.googleapis.com/uptime_check/time_until_ssl_cert_expires\""
      aligner    = "ALIGN_NEXT_OLDER", period = 3600, reducer = "REDUCE_MIN"
      comparison = "COMPARISON_LT", threshold = 14
      advice     = "It should have renewed itself: the domain's A record must still name the load balancer's address."
    }
  }
}
