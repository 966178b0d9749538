variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where images are kept and built."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string
}

variable "stage" {
  description = "The stage that is built for."
  type        = string
}

variable "labels" {
  description = "Labels of everything that can bear one."
  type        = map(string)
}

variable "kms_key" {
  description = "Id of the key of the images, known once Artifact Registry may use it."
  type        = string
}

variable "repository" {
  description = "The connected repository of the source (projects/.../connections/.../repositories/...); null for none yet."
  type        = string
  default     = null

  validation {
    condition     = var.repository == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.repository))
    error_message = "A connected repository is projects/P/locations/L/connections/C/repositories/R."
  }
}

variable "triggers" {
  description = <<-EOT
    What starts which build, by name. on: branch, tag or pull_request; pattern: which of them (a regular expression);
    filename: the build's file in the source; account: builder or deployer.
  EOT
  type = map(object({
    description    = string
    on             = string
    pattern        = string
    filename       = string
    account        = string
    needs_approval = optional(bool, false)
    included_files = optional(list(string), [])
    substitutions  = optional(map(string), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for trigger in var.triggers : contains(["branch", "tag", "pull_request"], trigger.on)])
    error_message = "A build is started by a branch, a tag or a pull_request."
  }

  validation {
    condition     = alltrue([for trigger in var.triggers : contains(["builder", "deployer"], trigger.account)])
    error_message = "A build runs as builder or as deployer."
  }

  validation {
    condition     = alltrue([for trigger in var.triggers : trigger.on != "pull_request" || trigger.account == "builder"])
    error_message = "What is only proposed is never deployed."
  }

  validation {
    condition     = alltrue(flatten([for trigger in var.triggers : [for name in keys(trigger.substitutions) : can(regex("^_[A-Z0-9_]+$", name))]]))
    error_message = "Substitutions of our own begin with an underscore."
  }
}

variable "accounts" {
  description = "Addresses of the accounts by name; builder is needed."
  type        = map(string)
}

variable "account_ids" {
  description = "Full ids of the accounts that builds run as: builder and deployer."
  type        = map(string)
}

variable "readers" {
  description = "Accounts that fetch images, under names of your choice: their addresses."
  type        = map(string)
}

variable "images_kept" {
  description = "So many of the newest images stay, however old."
  type        = number
  default     = 10
}

variable "image_days" {
  description = "Older ones than that go."
  type        = number
  default     = 90
}

variable "signing" {
  description = <<-EOT
    What images are signed with: the key's id, its version's id, that one's public half in PEM; is_enforced: whether an
    image without the signature is refused, or only noted. null: images are not signed.
  EOT
  type = object({
    key         = string
    version     = string
    public_key  = string
    is_enforced = bool
  })
  default = null
}
