output "services" {
  description = "Names of the worker services, by size; whoever may call them can."
  value       = { for name, service in google_cloud_run_v2_service.this : name => service.name }
  depends_on  = [google_cloud_run_v2_service_iam_member.callers]
}

output "addresses" {
  description = "Addresses of the worker services, by size: what Cloud Tasks calls, and the audience of its tokens."
  value       = { for name in keys(google_cloud_run_v2_service.this) : name => local.addresses[name] }
  depends_on  = [google_cloud_run_v2_service_iam_member.callers]
}

output "jobs" {
  description = "Names of the jobs."
  value       = { for name, job in google_cloud_run_v2_job.this : name => job.name }
}

output "pools" {
  description = "Names of the worker pools."
  value       = { for name, pool in google_cloud_run_v2_worker_pool.this : name => pool.name }
}
