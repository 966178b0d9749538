output "repository" {
  description = "Full id of the repository of images."
  value       = google_artifact_registry_repository.images.id
  depends_on  = [google_artifact_registry_repository_iam_member.readers]
}

output "repository_url" {
  description = "What names of images begin with."
  value       = local.repository_url
}

output "triggers" {
  description = "Ids of the triggers, by name."
  value       = { for name, trigger in google_cloudbuild_trigger.this : name => trigger.trigger_id }
}

output "attestor" {
  description = "Name of who says that an image was tested; null when images are not signed."
  value       = one(google_binary_authorization_attestor.tested[*].name)
}
