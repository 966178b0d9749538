output "buckets" {
  description = "Names of the buckets, by what lies in them."
  value       = { for name, bucket in google_storage_bucket.this : name => bucket.name }
  depends_on  = [google_storage_bucket_iam_member.this]
}

output "access_logs" {
  description = "Name of the bucket that access to buckets is logged to."
  value       = google_storage_bucket.access_logs.name
  depends_on  = [google_storage_bucket_iam_member.access_logs]
}
