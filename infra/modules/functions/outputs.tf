output "functions" {
  description = "Names of the functions that are there."
  value       = { for name, function in google_cloudfunctions2_function.this : name => function.name }
}

output "topics" {
  description = "Full names of the topics that start functions, by function."
  value       = { for name, topic in google_pubsub_topic.this : name => topic.id }
  depends_on  = [google_pubsub_topic_iam_member.publishers]
}

output "source_bucket" {
  description = "Name of the bucket that packed sources are put into."
  value       = google_storage_bucket.source.name
}
