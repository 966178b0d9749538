variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where the queues are."
  type        = string
}

variable "queues" {
  description = <<-EOT
    The queues by name. dispatches_per_second and concurrent_dispatches bound what is delivered; the rest how often and
    how long a delivery that failed is tried again: work that failed is not, since the worker answers that it took it.
  EOT
  type = map(object({
    dispatches_per_second = number
    concurrent_dispatches = number
    max_attempts          = number
    max_retry_seconds     = number
    min_backoff_seconds   = number
    max_backoff_seconds   = number
    max_doublings         = number
  }))

  validation {
    condition     = length(var.queues) > 0 && alltrue([for name in keys(var.queues) : can(regex("^[a-zA-Z0-9-]{1,100}$", name))])
    error_message = "There is at least one queue; a name has letters, digits and hyphens."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.dispatches_per_second > 0 && queue.dispatches_per_second <= 500 && queue.concurrent_dispatches >= 1 && queue.concurrent_dispatches <= 5000])
    error_message = "Cloud Tasks delivers at most 500 tasks a second and 5000 at once from a queue."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.max_attempts >= 1 && queue.max_attempts <= 100 && queue.max_retry_seconds > 0 && queue.max_retry_seconds <= 86400])
    error_message = "A delivery is tried 1 to 100 times, and at most for a day: without bounds a broken worker is called for ever."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.min_backoff_seconds > 0 && queue.min_backoff_seconds <= queue.max_backoff_seconds && queue.max_backoff_seconds <= 3600 && queue.max_doublings >= 0 && queue.max_doublings <= 16])
    error_message = "The rest between deliveries grows from min_backoff_seconds (above 0) to max_backoff_seconds (at most an hour)."
  }
}

variable "dispatcher" {
  description = "Address of the account that releases tasks."
  type        = string
}

variable "dispatcher_role" {
  description = "Full name of the role that it has on each queue."
  type        = string
}

variable "log_sampling" {
  description = "Share of the deliveries that Cloud Tasks logs, 0 to 1."
  type        = number
  default     = 1

  validation {
    condition     = var.log_sampling >= 0 && var.log_sampling <= 1
    error_message = "The share of logged deliveries lies between 0 and 1."
  }
}
