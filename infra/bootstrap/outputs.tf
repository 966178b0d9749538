output "state_bucket" {
  description = "Where the state of the stage is kept; `audobon cloud plan` finds it by its name."
  value       = google_storage_bucket.state.name
}

output "planner" {
  description = "Address of the account that plans from the continuous integration."
  value       = google_service_account.planner.email
}

output "identity_provider" {
  description = "What the continuous integration names to have its token taken; null when there is none."
  value       = one(google_iam_workload_identity_pool_provider.this[*].name)
}
