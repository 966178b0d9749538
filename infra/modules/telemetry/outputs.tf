output "channels" {
  description = "Ids of the channels that people are told by."
  value       = local.channels
}

output "log_buckets" {
  description = "Ids of the buckets of logs, by category."
  value       = { for name, bucket in google_logging_project_bucket_config.this : name => bucket.id }
}

output "dashboards" {
  description = "Ids of the dashboards, by name."
  value       = { for name, dashboard in google_monitoring_dashboard.this : name => dashboard.id }
}

output "metrics" {
  description = "Names of the metrics that are made of lines in the log, and the event each is made of."
  value       = merge({ for name, metric in local.counted : name => metric.event }, { for name, metric in local.measured : name => metric.event })
}
