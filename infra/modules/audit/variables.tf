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

variable "access_kinds" {
  description = "Which access is written down beside changes: ADMIN_READ, DATA_READ, DATA_WRITE. Reading data is most of it."
  type        = set(string)
  default     = ["ADMIN_READ", "DATA_READ", "DATA_WRITE"]

  validation {
    condition     = length(setsubtract(var.access_kinds, ["ADMIN_READ", "DATA_READ", "DATA_WRITE"])) == 0 && length(var.access_kinds) > 0
    error_message = "The kinds of access are ADMIN_READ, DATA_READ and DATA_WRITE."
  }
}

variable "log_days" {
  description = "For how many days the audit log can be asked."
  type        = number

  validation {
    condition     = var.log_days >= 30 && var.log_days <= 3650
    error_message = "The audit log can be asked for 30 to 3650 days."
  }
}

variable "keep_days" {
  description = "For how many days it is kept unchangeable."
  type        = number

  validation {
    condition     = var.keep_days >= 30
    error_message = "The audit log is kept for 30 days at least."
  }
}

variable "is_locked" {
  description = "Whether nobody, ever, can shorten that. It cannot be taken back: for production alone."
  type        = bool
}

variable "is_disposable" {
  description = "Whether the log for years is destroyed with the stage; then it is kept, but not unchangeable."
  type        = bool
  default     = false
}

variable "logging_key" {
  description = "Id of the key of Cloud Logging's bucket, known once Cloud Logging may use it."
  type        = string
}

variable "storage_key" {
  description = "Id of the key of Cloud Storage's bucket, known once Cloud Storage may use it."
  type        = string
}

variable "access_logs" {
  description = "Name of the bucket that access is logged to."
  type        = string
}

variable "channels" {
  description = "Ids of the channels that alerts go to."
  type        = list(string)
}
