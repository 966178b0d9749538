variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where the logs are kept."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string
}

variable "stage" {
  description = "The stage, as it stands in what alerts say."
  type        = string
}

variable "labels" {
  description = "Labels of everything that can bear one."
  type        = map(string)
}

variable "addresses" {
  description = "Who is told of alerts, under names of your choice: addresses of mail."
  type        = map(string)

  validation {
    condition     = length(var.addresses) > 0 && alltrue([for address in var.addresses : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "Alerts reach at least one address of mail: one that nobody hears is none."
  }
}

variable "domain" {
  description = "The name that people reach the service by, looked at from outside every minute; null for none."
  type        = string
  default     = null
}

variable "database_instance" {
  description = "Name of the database's instance."
  type        = string
}

variable "logs" {
  description = <<-EOT
    The logs by category. filter: which lines (PREFIX stands for what names begin with); keep_days: for how long;
    indexed: fields that are asked for often, with INDEX_TYPE_STRING or INDEX_TYPE_INTEGER.
  EOT
  type = map(object({
    description = string
    filter      = string
    keep_days   = number
    indexed     = optional(map(string), {})
  }))

  validation {
    condition     = alltrue([for log in var.logs : log.keep_days >= 30 && log.keep_days <= 3650])
    error_message = "Logs are kept for 30 to 3650 days."
  }
}

variable "level" {
  description = "Lines below this are not kept: DEBUG, INFO, WARNING or ERROR."
  type        = string

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.level)
    error_message = "The level is DEBUG, INFO, WARNING or ERROR."
  }
}

variable "kms_key" {
  description = "Id of the key of the logs, known once Cloud Logging may use it."
  type        = string
}

variable "daily_jobs" {
  description = "Jobs that have to succeed every day, by name."
  type        = list(string)
}

variable "thresholds" {
  description = "When figures are too high; each is named by what it is a figure of."
  type = object({
    oldest_task_seconds      = number
    queue_depth              = number
    instances                = number
    errors_in_5_minutes      = number
    connections              = number
    backup_age_seconds       = number
    drill_age_seconds        = number
    recovery_log_age_seconds = number
  })
}

variable "silent_alerts" {
  description = "Alerts that this stage does without, by name."
  type        = set(string)
  default     = []
}
