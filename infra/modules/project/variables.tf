variable "project" {
  description = "Id of the project that everything lies in; it must exist and have billing."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id has 6 to 30 lowercase letters, digits and hyphens, and begins with a letter."
  }
}

variable "stage" {
  description = "development, staging or production; a label on all that can bear one."
  type        = string

  validation {
    condition     = contains(["development", "staging", "production"], var.stage)
    error_message = "The stage is development, staging or production."
  }
}

variable "apis" {
  description = "The APIs to switch on."
  type        = set(string)

  validation {
    condition     = alltrue([for api in var.apis : endswith(api, ".googleapis.com")])
    error_message = "An API is named like run.googleapis.com."
  }
}

variable "labels" {
  description = "Labels of your own, such as a cost centre; app, stage and managed_by are added."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", name)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "Labels are lowercase letters, digits, hyphens and underscores, at most 63, and begin with a letter."
  }
}
