# A queue of Cloud Tasks for each category and band of priority: Cloud Tasks knows no priority within a queue.
#
# State, order, retries of work and dead letters are Audobon's own, in its database; Cloud Tasks delivers. What it
# carries is the number and the token of a task, nothing of a page.

resource "google_cloud_tasks_queue" "this" {
  for_each = var.queues

  project  = var.project
  location = var.region
  name     = each.key

  rate_limits {
    max_dispatches_per_second = each.value.dispatches_per_second
    max_concurrent_dispatches = each.value.concurrent_dispatches
  }

  # It gives up only when both bounds are reached, and then drops the task: Audobon's lease finds it again.
  retry_config {
    max_attempts       = each.value.max_attempts
    max_retry_duration = "${each.value.max_retry_seconds}s"
    min_backoff        = "${each.value.min_backoff_seconds}s"
    max_backoff        = "${each.value.max_backoff_seconds}s"
    max_doublings      = each.value.max_doublings
  }

  stackdriver_logging_config {
    sampling_ratio = var.log_sampling
  }
}

resource "google_cloud_tasks_queue_iam_member" "dispatcher" {
  for_each = google_cloud_tasks_queue.this

  project  = var.project
  location = var.region
  name     = each.value.name
  role     = var.dispatcher_role
  member   = "serviceAccount:${var.dispatcher}"
}
