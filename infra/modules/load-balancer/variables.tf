variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where the services run."
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

variable "domain" {
  description = "The name people reach it by; its A record must be set to the output address."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "The domain is written like comics.example.org."
  }
}

variable "services" {
  description = "What lies behind it, under names of your choice: the Cloud Run service, and the paths that lead there."
  type = map(object({
    service = string
    paths   = optional(list(string), [])
  }))

  validation {
    condition     = length(var.services) > 0
    error_message = "A door leads somewhere: name at least one service."
  }
}

variable "default_service" {
  description = "Which of the services takes what no path leads elsewhere."
  type        = string
}

variable "delivery" {
  description = <<-EOT
    The bucket of finished books, fetched through Cloud CDN by signed links; null for none. reader: the identity of
    Cloud CDN, which exists once a key for signed links does (has_signing_key).
  EOT
  type = object({
    bucket          = string
    reader          = string
    has_signing_key = optional(bool, false)
  })
  default = null
}

variable "requests_per_minute" {
  description = "What one address may ask in a minute before it is refused."
  type        = number
  default     = 600

  validation {
    condition     = var.requests_per_minute >= 10
    error_message = "Below 10 a minute, a person with a browser is refused."
  }
}

variable "log_sampling" {
  description = "Share of the requests that are logged, 0 to 1."
  type        = number
  default     = 1

  validation {
    condition     = var.log_sampling >= 0 && var.log_sampling <= 1
    error_message = "The share of logged requests lies between 0 and 1."
  }
}
