output "project" {
  description = "The project's id, known once its APIs are on: whatever uses it waits for them."
  value       = var.project
  depends_on  = [google_project_service.this]
}

output "number" {
  description = "The project's number."
  value       = local.number
}

output "labels" {
  description = "The labels that every resource bears."
  value       = local.labels
}

output "agents" {
  description = "The service agents of the project, by service: addresses without a prefix."
  value       = local.agents
  depends_on  = [google_project_service.this]
}
