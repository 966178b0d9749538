output "log_bucket" {
  description = "Id of the bucket of Cloud Logging that the audit log can be asked in."
  value       = google_logging_project_bucket_config.audit.id
}

output "bucket" {
  description = "Name of the bucket that the audit log is kept in for years."
  value       = google_storage_bucket.audit.name
  depends_on  = [google_storage_bucket_iam_member.years]
}
