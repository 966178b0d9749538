variable "project" {
  description = "Id of the project."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string
}

variable "labels" {
  description = "Labels of every key."
  type        = map(string)
}

variable "keys" {
  description = <<-EOT
    The keys by what they encrypt. location: where that lies, in Cloud KMS's words (a region, or such as us).
    agents: which of Google's services encrypt with it, as named in the variable agents.
  EOT
  type = map(object({
    location         = string
    agents           = optional(set(string), [])
    protection_level = optional(string, "SOFTWARE")
  }))

  validation {
    condition     = alltrue([for key in var.keys : contains(["SOFTWARE", "HSM"], key.protection_level)])
    error_message = "A key is kept in SOFTWARE or in an HSM."
  }

  validation {
    condition     = alltrue([for name in keys(var.keys) : can(regex("^[a-z][a-z0-9-]{1,40}$", name))])
    error_message = "A key's name has lowercase letters, digits and hyphens."
  }
}

variable "agents" {
  description = "Addresses of the service agents, by service."
  type        = map(string)
}

variable "users" {
  description = "Who else may use a key, under names of your choice: the key, a role of Cloud KMS, the account's address."
  type = map(object({
    key     = string
    role    = string
    account = string
  }))
  default = {}

  validation {
    condition     = alltrue([for user in var.users : startswith(user.role, "roles/cloudkms.cryptoKey") || user.role == "roles/cloudkms.viewer"])
    error_message = "Users of a key encrypt or decrypt with it; administering is for people."
  }
}

variable "destroy_days" {
  description = "For so many days a destroyed version can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.destroy_days >= 1 && var.destroy_days <= 120
    error_message = "A destroyed version waits between 1 and 120 days."
  }
}

variable "signing" {
  description = "Where the key lies that images are signed with, a location that keys has too; null for none."
  type = object({
    location         = string
    protection_level = optional(string, "SOFTWARE")
  })
  default = null
}
