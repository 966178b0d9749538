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
  description = "What Audobon's settings say for this stage, as `audobon cloud settings` writes it. Never written by hand."
  type = object({
    stage         = string
    region        = string
    second_region = string
    prefix        = string
    apis          = set(string)

    is_protected  = bool
    is_disposable = bool

    accounts = map(object({
      duty          = string
      project_roles = optional(set(string), [])
      acts_as       = optional(set(string), [])
    }))
    roles = map(object({
      title       = string
      description = string
      permissions = set(string)
    }))
    grants = map(object({
      bucket  = string
      role    = string
      account = string
    }))

    keys = map(object({
      location         = string
      agents           = optional(set(string), [])
      protection_level = optional(string, "SOFTWARE")
    }))
    key_users = map(object({
      key     = string
      role    = string
      account = string
    }))
    key_destroy_days = number

    flow_sampling = number

    buckets = map(object({
      location         = string
      regions          = optional(list(string), [])
      key              = string
      storage_class    = optional(string, "STANDARD")
      soft_delete_days = number
      noncurrent_days  = number
      retention_days   = optional(number)
      is_locked        = optional(bool, false)
      lifecycle_rules = list(object({
        action = object({
          type         = string
          storageClass = optional(string)
        })
        condition = object({
          age                     = optional(number)
          createdBefore           = optional(string)
          customTimeBefore        = optional(string)
          daysSinceCustomTime     = optional(number)
          daysSinceNoncurrentTime = optional(number)
          noncurrentTimeBefore    = optional(string)
          isLive                  = optional(bool)
          matchesStorageClass     = optional(list(string))
          matchesPrefix           = optional(list(string))
          matchesSuffix           = optional(list(string))
          numNewerVersions        = optional(number)
        })
      }))
    }))
    access_log_days = number

    database = object({
      tier                = string
      availability_type   = string
      most_disk_gigabytes = number
      backup_location     = string
      backups_kept        = number
      recovery_days       = number
      accounts            = set(string)
    })

    queues = map(object({
      dispatches_per_second = number
      concurrent_dispatches = number
      max_attempts          = number
      max_retry_seconds     = number
      min_backoff_seconds   = number
      max_backoff_seconds   = number
      max_doublings         = number
    }))

    services = map(object({
      description       = string
      arguments         = list(string)
      cpus              = number
      memory_mebibytes  = number
      scratch_mebibytes = number
      gpu               = optional(string)
      concurrency       = number
      min_instances     = number
      max_instances     = number
      timeout_seconds   = number
    }))
    default_service = string
    pools = map(object({
      description       = string
      image_of          = string
      account           = string
      arguments         = list(string)
      cpus              = number
      memory_mebibytes  = number
      scratch_mebibytes = number
      gpu               = optional(string)
      instances         = number
    }))
    jobs = map(object({
      room             = string
      image_of         = string
      account          = string
      arguments        = list(string)
      schedule         = optional(string)
      cpus             = number
      memory_mebibytes = number
      timeout_seconds  = number
      max_retries      = number
    }))
    takes_signed_images_only = bool

    functions = map(object({
      description      = string
      bucket           = optional(string)
      schedule         = optional(string)
      publishers       = optional(set(string), [])
      cpus             = optional(number, 1)
      memory_mebibytes = number
      timeout_seconds  = number
      max_instances    = number
    }))

    triggers = map(object({
      description    = string
      on             = string
      pattern        = string
      filename       = string
      account        = string
      needs_approval = bool
    }))

    logs = map(object({
      description = string
      filter      = string
      keep_days   = number
      indexed     = optional(map(string), {})
    }))
    log_level = string
    audit = object({
      log_days  = number
      keep_days = number
      is_locked = bool
    })
    daily_jobs = list(string)
    alert_thresholds = object({
      oldest_task_seconds      = number
      queue_depth              = number
      instances                = number
      errors_in_5_minutes      = number
      connections              = number
      backup_age_seconds       = number
      drill_age_seconds        = number
      recovery_log_age_seconds = number
    })
    silent_alerts = set(string)

    budgets = map(object({
      amount = number
      room   = optional(string)
    }))
    budget_thresholds = list(number)
    quotas = map(object({
      service    = string
      quota      = string
      dimensions = optional(map(string), {})
      value      = number
    }))
  })
}
