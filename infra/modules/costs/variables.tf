variable "project" {
  description = "Id of the project."
  type        = string
}

variable "project_number" {
  description = "Number of the project: budgets know it by that."
  type        = string
}

variable "region" {
  description = "Where the bill's figures are kept."
  type        = string
}

variable "prefix" {
  description = "What names begin with."
  type        = string
}

variable "stage" {
  description = "The stage, as it stands in what budgets say."
  type        = string
}

variable "labels" {
  description = "Labels of everything that can bear one."
  type        = map(string)
}

variable "billing_account" {
  description = "Id of the billing account; null where whoever applies may not set budgets there."
  type        = string
  default     = null

  validation {
    condition     = var.billing_account == null ? true : can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "A billing account is written like 0123AB-4567CD-89EF01."
  }
}

variable "currency" {
  description = "Currency of the billing account."
  type        = string
  default     = "USD"

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.currency))
    error_message = "A currency has three capital letters."
  }
}

variable "budgets" {
  description = "Budgets of a month by name: an amount in whole units, of one room (the label that resources bear) or of all."
  type = map(object({
    amount = number
    room   = optional(string)
  }))

  validation {
    condition     = length(var.budgets) > 0 && alltrue([for budget in var.budgets : budget.amount >= 1 && floor(budget.amount) == budget.amount])
    error_message = "There is at least one budget, of a whole amount of at least 1."
  }
}

variable "thresholds" {
  description = "Shares of a budget at which it tells, 1 for all of it."
  type        = list(number)

  validation {
    condition     = contains(var.thresholds, 1) && alltrue([for share in var.thresholds : share > 0 && share <= 2])
    error_message = "A budget tells at least when it is used up (1), and at shares above 0 and at most 2."
  }
}

variable "topic" {
  description = "Full name of the topic that budgets tell; what listens there stops sending work to the cloud."
  type        = string
}

variable "channels" {
  description = "Ids of up to five channels that people are told by."
  type        = list(string)

  validation {
    condition     = length(var.channels) <= 5
    error_message = "A budget tells at most five channels."
  }
}

variable "readers" {
  description = "Who may read the bill, under names of your choice, as members of a policy."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for member in var.readers : !startswith(member, "all")])
    error_message = "The bill is not for everybody."
  }
}

variable "quotas" {
  description = "Bounds that Google keeps, by name: the service, the id of its quota, and the most."
  type = map(object({
    service    = string
    quota      = string
    dimensions = optional(map(string), {})
    value      = number
  }))
  default = {}
}

variable "contact" {
  description = "Whom Google may ask about a quota."
  type        = string
}

variable "kms_key" {
  description = "Id of the key of the bill's figures, known once BigQuery may use it."
  type        = string
}
