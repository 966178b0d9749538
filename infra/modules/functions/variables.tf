variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where the functions run."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string
}

variable "labels" {
  description = "Labels of everything that can bear one."
  type        = map(string)
}

variable "functions" {
  description = <<-EOT
    The functions by name (verb_noun: the folder and the entry). bucket: uploads there start it; else it has a topic of
    its own, which the members in publishers may send to, and the clock does by schedule (a cron line, UTC).
  EOT
  type = map(object({
    description      = string
    bucket           = optional(string)
    schedule         = optional(string)
    publishers       = optional(map(string), {})
    cpus             = optional(number, 1)
    memory_mebibytes = number
    timeout_seconds  = number
    max_instances    = number
  }))

  validation {
    condition     = alltrue([for name in keys(var.functions) : can(regex("^[a-z]+(_[a-z]+)+$", name))])
    error_message = "A function is named by a verb and a noun, such as inspect_upload."
  }

  validation {
    condition     = alltrue([for function in var.functions : function.bucket == null || function.schedule == null])
    error_message = "A function is started by uploads or by the clock, not by both."
  }

  validation {
    condition     = alltrue([for function in var.functions : function.timeout_seconds >= 1 && function.timeout_seconds <= 540 && function.max_instances >= 1 && function.max_instances <= 50])
    error_message = "A function that an event starts ends within 540 seconds, and runs at most 50 times at once."
  }

  validation {
    condition     = alltrue(flatten([for function in var.functions : [for member in function.publishers : startswith(member, "serviceAccount:")]]))
    error_message = "Only service accounts may publish."
  }
}

variable "sources" {
  description = "Name of the packed source in the bucket, by function. What has none yet is not made."
  type        = map(string)
  default     = {}
}

variable "account" {
  description = "Address of the account that functions run with."
  type        = string
}

variable "build_account" {
  description = "Full id (projects/.../serviceAccounts/...) of the account that Google packs functions with."
  type        = string
}

variable "builder" {
  description = "Address of the account whose builds put sources into the bucket."
  type        = string
}

variable "source_role" {
  description = "Full name of the role that it has there."
  type        = string
}

variable "agents" {
  description = "Addresses of the service agents, by service; storage is needed."
  type        = map(string)
}

variable "repository" {
  description = "Full id of the repository that packed functions are kept in."
  type        = string
}

variable "connector" {
  description = "Id of the way into the network; null when functions need none."
  type        = string
  default     = null
}

variable "kms_key" {
  description = "Id of the key of functions and topics, known once Google's services may use it."
  type        = string
}

variable "storage_key" {
  description = "Id of the key of the bucket, known once Cloud Storage may use it."
  type        = string
}

variable "access_logs" {
  description = "Name of the bucket that access is logged to."
  type        = string
}

variable "environment" {
  description = "Settings of Audobon that hold in every function; nothing secret."
  type        = map(string)
  default     = {}
}
