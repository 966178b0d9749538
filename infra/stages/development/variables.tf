variable "project" {
  description = "Id of the stage's project. Each stage has one of its own, so that nothing of one can harm another."
  type        = string
}

variable "labels" {
  description = "Labels of your own, such as a cost centre."
  type        = map(string)
  default     = {}
}

variable "addresses" {
  description = "Who is told of alerts and budgets, under names of your choice: addresses of mail."
  type        = map(string)
}

variable "domain" {
  description = "The name that people reach the service by; null for none: then there is no load balancer."
  type        = string
  default     = null
}

variable "has_signing_key" {
  description = "Whether Cloud CDN was given a key for signed links (by hand, so that it lies in no state)."
  type        = bool
  default     = false
}

variable "billing_account" {
  description = "Id of the billing account, for budgets; null where whoever applies may not set them."
  type        = string
  default     = null
}

variable "currency" {
  description = "Currency of the billing account."
  type        = string
  default     = "USD"
}

variable "repository" {
  description = "The repository of the source as it is connected to Cloud Build; null for no builds yet."
  type        = string
  default     = null
}

variable "images" {
  description = "The images by size (small, large, gpu), each by its digest; what has none yet is not made."
  type        = map(string)
  default     = {}
}

variable "sources" {
  description = "The packed sources of functions in their bucket, by function; what has none yet is not made."
  type        = map(string)
  default     = {}
}

variable "federated" {
  description = "Identities outside that may act as an account: by its name, the principal or principalSet."
  type        = map(string)
  default     = {}
}

variable "settings" {
  description = "What Audobon's settings say for this stage: settings.auto.tfvars.json, written by `audobon cloud settings`."
  # modules/stage says what must be in it.
  type = any

  validation {
    condition     = var.settings.stage == "development"
    error_message = "These settings are for another stage: write them anew, audobon cloud settings --stage development --write."
  }
}
