variables {
  project         = "audobon-sample"
  region          = "us-central1"
  dispatcher      = "audobon-dispatcher@audobon-sample.iam.gserviceaccount.com"
  dispatcher_role = "projects/audobon-sample/roles/audobon_task_releaser"
  queues = {
    audobon-batch-high = { dispatches_per_second = 10, concurrent_dispatches = 2, max_attempts = 10, max_retry_seconds = 3600, min_backoff_seconds = 1, max_backoff_seconds = 300, max_doublings = 9 }
    audobon-batch-low  = { dispatches_per_second = 5, concurrent_dispatches = 1, max_attempts = 10, max_retry_seconds = 3600, min_backoff_seconds = 1, max_backoff_seconds = 300, max_doublings = 9 }
  }
}

run "queues_have_the_rates_and_bounds_they_were_given" {
  command = plan

  assert {
    condition     = google_cloud_tasks_queue.this["audobon-batch-high"].rate_limits[0].max_concurrent_dispatches == 2 && google_cloud_tasks_queue.this["audobon-batch-high"].rate_limits[0].max_dispatches_per_second == 10
    error_message = "The rates are others."
  }

  assert {
    condition     = alltrue([for queue in google_cloud_tasks_queue.this : queue.retry_config[0].max_attempts == 10 && queue.retry_config[0].max_retry_duration == "3600s" && queue.retry_config[0].min_backoff == "1s" && queue.retry_config[0].max_backoff == "300s"])
    error_message = "Deliveries are tried again in another way."
  }
}

run "the_dispatcher_alone_releases" {
  command = plan

  assert {
    condition     = { for name, grant in google_cloud_tasks_queue_iam_member.dispatcher : name => grant.member } == { for name in ["audobon-batch-high", "audobon-batch-low"] : name => "serviceAccount:audobon-dispatcher@audobon-sample.iam.gserviceaccount.com" }
    error_message = "Others may release tasks, or the dispatcher may not."
  }
}

run "refuses_deliveries_without_end" {
  command = plan

  variables {
    queues = { endless = { dispatches_per_second = 10, concurrent_dispatches = 2, max_attempts = -1, max_retry_seconds = 3600, min_backoff_seconds = 1, max_backoff_seconds = 300, max_doublings = 9 } }
  }

  expect_failures = [var.queues]
}

run "refuses_rates_that_google_does_not_have" {
  command = plan

  variables {
    queues = { fast = { dispatches_per_second = 501, concurrent_dispatches = 2, max_attempts = 10, max_retry_seconds = 3600, min_backoff_seconds = 1, max_backoff_seconds = 300, max_doublings = 9 } }
  }

  expect_failures = [var.queues]
}

run "refuses_a_rest_that_shrinks" {
  command = plan

  variables {
    queues = { odd = { dispatches_per_second = 10, concurrent_dispatches = 2, max_attempts = 10, max_retry_seconds = 3600, min_backoff_seconds = 10, max_backoff_seconds = 5, max_doublings = 9 } }
  }

  expect_failures = [var.queues]
}
