variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where the workers and the database are."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,13}$", var.prefix))
    error_message = "The prefix has 2 to 14 lowercase letters, digits and hyphens, and begins with a letter."
  }
}

variable "labels" {
  description = "Labels of everything that can bear one."
  type        = map(string)
}

variable "workers_range" {
  description = "Addresses of Cloud Run's instances; each takes up to four for a while, so a /24 is enough for some 60."
  type        = string
  default     = "10.40.0.0/24"

  validation {
    condition     = can(cidrnetmask(var.workers_range)) && tonumber(split("/", var.workers_range)[1]) <= 26
    error_message = "Cloud Run needs a range of /26 or larger, such as 10.40.0.0/24."
  }
}

variable "services_range" {
  description = "Addresses of Google's managed services in our network."
  type        = string
  default     = "10.41.0.0/20"

  validation {
    condition     = can(cidrnetmask(var.services_range)) && tonumber(split("/", var.services_range)[1]) <= 24
    error_message = "Cloud SQL needs a range of /24 or larger, such as 10.41.0.0/20."
  }
}

variable "flow_sampling" {
  description = "Share of the network's flows that are logged, above 0 and at most 1."
  type        = number
  default     = 0.5

  validation {
    condition     = var.flow_sampling > 0 && var.flow_sampling <= 1
    error_message = "The share of flows lies above 0 and at most at 1."
  }
}

variable "connector" {
  description = "The way of functions into the network; null for none, which saves its standing cost."
  type = object({
    range         = optional(string, "10.40.1.0/28")
    min_instances = optional(number, 2)
    max_instances = optional(number, 3)
  })
  default = null

  validation {
    condition     = var.connector == null ? true : endswith(var.connector.range, "/28") && var.connector.min_instances >= 2 && var.connector.max_instances > var.connector.min_instances && var.connector.max_instances <= 10
    error_message = "A connector has a range of /28, at least 2 instances, and may grow to at most 10."
  }
}
