variable "project" {
  description = "Id of the project."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string

  validation {
    condition     = length(var.prefix) <= 14
    error_message = "With a prefix of over 14 characters, names of accounts grow beyond the 30 that Google allows."
  }
}

variable "accounts" {
  description = <<-EOT
    The accounts by name. duty: what it is for, in a sentence. project_roles: what can only be given in the whole
    project: roles of Google, or of the variable roles as own:NAME. acts_as: the accounts as which it may order work
    to be done.
  EOT
  type = map(object({
    duty          = string
    project_roles = optional(set(string), [])
    acts_as       = optional(set(string), [])
  }))

  validation {
    condition     = alltrue([for name in keys(var.accounts) : can(regex("^[a-z][a-z-]{2,14}[a-z]$", name))])
    error_message = "An account's name has 4 to 16 lowercase letters and hyphens."
  }

  validation {
    condition     = length(setintersection(toset(flatten([for account in var.accounts : tolist(account.project_roles)])), ["roles/owner", "roles/editor", "roles/viewer", "roles/iam.serviceAccountUser", "roles/iam.serviceAccountTokenCreator"])) == 0
    error_message = "No account is owner, editor or viewer, nor may it act as every other."
  }
}

variable "roles" {
  description = "Roles of our own by name (letters and underscores): a title, what it is for, and the permissions."
  type = map(object({
    title       = string
    description = string
    permissions = set(string)
  }))

  validation {
    condition     = alltrue([for name in keys(var.roles) : can(regex("^[a-z][a-z_]{2,40}$", name))])
    error_message = "A role's name has lowercase letters and underscores."
  }

  validation {
    condition     = alltrue(flatten([for role in var.roles : [for permission in role.permissions : can(regex("^[a-z]+\\.[A-Za-z]+\\.[A-Za-z]+$", permission)) && !endswith(permission, ".setIamPolicy")]]))
    error_message = "Permissions are written like storage.objects.get; none of our roles may give rights away."
  }
}

variable "database_instance" {
  description = "Name of the database's instance: rights to databases are for this one alone."
  type        = string
}

variable "federated" {
  description = "Identities outside that may act as an account: by its name, the principal or principalSet."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for member in var.federated : can(regex("^principal(Set)?://iam\\.googleapis\\.com/.+/(attribute\\.[a-z_]+/.+|subject/.+)$", member))])
    error_message = "Federated identities are a principal or a principalSet of an attribute, never a whole pool."
  }
}
