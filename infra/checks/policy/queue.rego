# Queues: every delivery ends, none storms a worker.
package audobon

import rego.v1

deny contains fault("deliveries-end", queue, "tries deliveries without a bound that we know") if {
	some queue in of("google_cloud_tasks_queue")
	not has_bounds(first(queue.change.after, "retry_config"))
}

has_bounds(retry) if {
	retry.max_attempts >= 1
	retry.max_attempts <= 100
	seconds(retry.max_retry_duration) > 0
	seconds(retry.max_retry_duration) <= 86400
}

deny contains fault("deliveries-rest", queue, "does not rest longer after each failed delivery") if {
	some queue in of("google_cloud_tasks_queue")
	not rests(first(queue.change.after, "retry_config"))
}

rests(retry) if {
	seconds(retry.min_backoff) >= 1
	seconds(retry.max_backoff) >= seconds(retry.min_backoff)
	seconds(retry.max_backoff) <= 3600
	retry.max_doublings >= 0
	retry.max_doublings <= 16
}

deny contains fault("rates-that-google-knows", queue, "asks for rates that Cloud Tasks does not have") if {
	some queue in of("google_cloud_tasks_queue")
	not has_rates(first(queue.change.after, "rate_limits"))
}

has_rates(rates) if {
	rates.max_dispatches_per_second > 0
	rates.max_dispatches_per_second <= 500
	rates.max_concurrent_dispatches >= 1
	rates.max_concurrent_dispatches <= 5000
}

deny contains fault("deliveries-are-logged", queue, "leaves no trace of deliveries") if {
	some queue in of("google_cloud_tasks_queue")
	not is_share(first(queue.change.after, "stackdriver_logging_config").sampling_ratio)
}

is_share(ratio) if {
	ratio > 0
	ratio <= 1
}
