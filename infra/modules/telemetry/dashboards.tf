# A page of charts for each question: what comes in, what works, what the database does, can it be restored, what it costs.

resource "google_monitoring_dashboard" "this" {
  for_each = local.dashboards

  project = var.project
  dashboard_json = jsonencode({
    displayName = "Audobon ${var.stage}: ${each.key}"
    labels      = { app = "", (var.stage) = "" }
    mosaicLayout = {
      columns = 48
      tiles = [
        for place, chart in each.value : {
          xPos   = place % 2 * 24
          yPos   = floor(place / 2) * 16
          width  = 24
          height = 16
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType   = lookup(chart, "plot", "LINE")
                targetAxis = "Y1"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = chart.filter
                    aggregation = {
                      alignmentPeriod    = "${lookup(chart, "period", 60)}s"
                      perSeriesAligner   = chart.aligner
                      crossSeriesReducer = lookup(chart, "reducer", "REDUCE_SUM")
                      groupByFields      = lookup(chart, "by", [])
                    }
                  }
                }
              }]
              yAxis = { label = lookup(chart, "unit", ""), scale = "LINEAR" }
            }
          }
        }
      ]
    }
  })

  depends_on = [google_logging_metric.counted, google_logging_metric.measured]
}

locals {
  dispatcher = "resource.type = \"cloud_run_worker_pool\""
  jobs       = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = starts_with(\"${var.prefix}-\")"

  dashboards = {
    queue = [
      { title = "Tasks done", filter = "${local.services} AND metric.type = \"${local.own}/queue/done\"", aligner = "ALIGN_RATE", by = ["metric.label.queue"], unit = "a second" },
      { title = "Tasks that wait", filter = "${local.dispatcher} AND metric.type = \"${local.own}/queue/ready\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["metric.label.queue"] },
      { title = "How long the oldest has waited", filter = "${local.dispatcher} AND metric.type = \"${local.own}/queue/oldest\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["metric.label.queue"], unit = "seconds" },
      { title = "Given up", filter = "${local.services} AND metric.type = \"${local.own}/queue/dead\"", aligner = "ALIGN_DELTA", by = ["metric.label.queue"], plot = "STACKED_BAR", period = 300 },
      { title = "Tried again", filter = "${local.services} AND metric.type = \"${local.own}/queue/retried\"", aligner = "ALIGN_DELTA", by = ["metric.label.queue"], plot = "STACKED_BAR", period = 300 },
      { title = "Held by Cloud Tasks", filter = "${local.queues} AND metric.type = \"cloudtasks.googleapis.com/queue/depth\"", aligner = "ALIGN_MAX", by = ["resource.label.queue_id"] },
      { title = "Deliveries by answer", filter = "${local.queues} AND metric.type = \"cloudtasks.googleapis.com/queue/task_attempt_count\"", aligner = "ALIGN_RATE", by = ["metric.label.response_code"], unit = "a second" },
      { title = "Delay of deliveries", filter = "${local.queues} AND metric.type = \"cloudtasks.googleapis.com/queue/task_attempt_delays\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["resource.label.queue_id"], unit = "milliseconds" },
    ]
    compute = [
      { title = "How long a task takes", filter = "${local.services} AND metric.type = \"${local.own}/queue/seconds\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["metric.label.kind"], unit = "seconds" },
      { title = "Calls by answer", filter = "${local.services} AND metric.type = \"run.googleapis.com/request_count\"", aligner = "ALIGN_RATE", by = ["metric.label.response_code_class"], unit = "a second" },
      { title = "Time of a call", filter = "${local.services} AND metric.type = \"run.googleapis.com/request_latencies\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["resource.label.service_name"], unit = "milliseconds" },
      { title = "Instances", filter = "${local.services} AND metric.type = \"run.googleapis.com/container/instance_count\"", aligner = "ALIGN_MAX", by = ["resource.label.service_name", "metric.label.state"], plot = "STACKED_AREA" },
      { title = "Processor in use", filter = "${local.services} AND metric.type = \"run.googleapis.com/container/cpu/utilizations\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["resource.label.service_name"] },
      { title = "Memory in use", filter = "${local.services} AND metric.type = \"run.googleapis.com/container/memory/utilizations\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["resource.label.service_name"] },
      { title = "Time to start", filter = "${local.services} AND metric.type = \"run.googleapis.com/container/startup_latencies\"", aligner = "ALIGN_PERCENTILE_95", reducer = "REDUCE_MAX", by = ["resource.label.service_name"], unit = "milliseconds" },
      { title = "Errors in the log", filter = "${local.services} AND metric.type = \"logging.googleapis.com/log_entry_count\" AND metric.labels.severity = \"ERROR\"", aligner = "ALIGN_DELTA", by = ["resource.label.service_name"], plot = "STACKED_BAR", period = 300 },
    ]
    database = [
      { title = "Processor in use", filter = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/cpu/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX" },
      { title = "Memory in use", filter = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/memory/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX" },
      { title = "Disk in use", filter = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/disk/bytes_used\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", unit = "bytes" },
      { title = "Connections", filter = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/postgresql/num_backends\"", aligner = "ALIGN_MEAN" },
      { title = "Transactions", filter = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/postgresql/transaction_count\"", aligner = "ALIGN_RATE", by = ["metric.label.transaction_type"], unit = "a second" },
      { title = "Deadlocks", filter = "${local.instance} AND metric.type = \"cloudsql.googleapis.com/database/postgresql/deadlock_count\"", aligner = "ALIGN_DELTA", plot = "STACKED_BAR", period = 300 },
    ]
    backup = [
      { title = "Age of the newest whole backup", filter = "${local.services} AND metric.type = \"${local.own}/backup/age\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["metric.label.place"], unit = "seconds", period = 3600 },
      { title = "How far the database's log is behind", filter = "${local.services} AND metric.type = \"${local.own}/backup/log-age\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", unit = "seconds", period = 3600 },
      { title = "Time since a restore was proved", filter = "${local.services} AND metric.type = \"${local.own}/backup/drill-age\"", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["metric.label.place"], unit = "seconds", period = 3600 },
      { title = "Jobs by result", filter = "${local.jobs} AND metric.type = \"run.googleapis.com/job/completed_execution_count\"", aligner = "ALIGN_DELTA", by = ["resource.label.job_name", "metric.label.result"], plot = "STACKED_BAR", period = 3600 },
      { title = "Bytes by bucket", filter = "resource.type = \"gcs_bucket\" AND metric.type = \"storage.googleapis.com/storage/v2/total_bytes\"", aligner = "ALIGN_MEAN", by = ["resource.label.bucket_name", "metric.label.storage_class"], plot = "STACKED_AREA", unit = "bytes", period = 3600 },
    ]
    costs = [
      { title = "What work cost, by the ledger", filter = "${local.services} AND metric.type = \"${local.own}/costs/spent\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = ["metric.label.service"], unit = "US dollars", period = 3600 },
      { title = "Time of instances that is paid for", filter = "${local.services} AND metric.type = \"run.googleapis.com/container/billable_instance_time\"", aligner = "ALIGN_RATE", by = ["resource.label.service_name"], plot = "STACKED_AREA", unit = "instances" },
      { title = "Operations of Cloud Storage", filter = "resource.type = \"gcs_bucket\" AND metric.type = \"storage.googleapis.com/api/request_count\"", aligner = "ALIGN_RATE", by = ["metric.label.method"], unit = "a second" },
      { title = "Bytes sent outside by Cloud Storage", filter = "resource.type = \"gcs_bucket\" AND metric.type = \"storage.googleapis.com/network/sent_bytes_count\"", aligner = "ALIGN_RATE", by = ["resource.label.bucket_name"], unit = "bytes a second" },
    ]
  }
}
