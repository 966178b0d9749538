output "queues" {
  description = "Full names of the queues, by name; the dispatcher may release into them."
  value       = { for name, queue in google_cloud_tasks_queue.this : name => queue.id }
  depends_on  = [google_cloud_tasks_queue_iam_member.dispatcher]
}
