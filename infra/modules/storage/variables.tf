variable "project" {
  description = "Id of the project; names of buckets begin with it, since they are unique in the whole world."
  type        = string
}

variable "prefix" {
  description = "What names begin with, after the project."
  type        = string
}

variable "labels" {
  description = "Labels of every bucket."
  type        = map(string)
}

variable "buckets" {
  description = <<-EOT
    The buckets by what lies in them. location: a region, or such as US with the two regions in regions.
    lifecycle_rules: as Cloud Storage writes them in JSON. soft_delete_days: for so long what was deleted can be
    brought back; 0 for not at all. noncurrent_days: for so long older versions stay. retention_days: nothing younger
    can be deleted or replaced, by anybody, and so there are no older versions; is_locked makes that final, also for
    the owner.
  EOT
  type = map(object({
    location         = string
    regions          = optional(list(string), [])
    kms_key          = string
    storage_class    = optional(string, "STANDARD")
    soft_delete_days = optional(number, 7)
    noncurrent_days  = optional(number, 7)
    retention_days   = optional(number)
    is_locked        = optional(bool, false)
    lifecycle_rules = optional(list(object({
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
    })), [])
  }))

  validation {
    condition     = alltrue([for bucket in var.buckets : contains([0, 2], length(bucket.regions))])
    error_message = "A bucket lies in one place, or in exactly two regions."
  }

  validation {
    condition     = alltrue([for bucket in var.buckets : bucket.soft_delete_days == 0 || (bucket.soft_delete_days >= 7 && bucket.soft_delete_days <= 90)])
    error_message = "Cloud Storage brings deleted objects back for 7 to 90 days, or not at all (0)."
  }

  validation {
    condition     = alltrue([for bucket in var.buckets : !bucket.is_locked || bucket.retention_days != null])
    error_message = "Only a bucket with retention_days can be locked."
  }

  validation {
    condition     = alltrue([for bucket in var.buckets : contains(["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"], bucket.storage_class)])
    error_message = "A class is STANDARD, NEARLINE, COLDLINE or ARCHIVE."
  }

  validation {
    condition     = alltrue(flatten([for bucket in var.buckets : [for rule in bucket.lifecycle_rules : contains(["Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"], rule.action.type) && (rule.action.type == "SetStorageClass") == (rule.action.storageClass != null)]]))
    error_message = "A rule deletes, moves to a class that it names, or aborts unfinished uploads."
  }

  validation {
    condition     = alltrue(flatten([for bucket in var.buckets : [for rule in bucket.lifecycle_rules : anytrue([for value in values(rule.condition) : value != null])]]))
    error_message = "A rule without any condition would act on every object there is."
  }
}

variable "access_logs" {
  description = "Where access to the buckets is logged: the region, the key, and for how many days."
  type = object({
    location  = string
    kms_key   = string
    keep_days = number
  })

  validation {
    condition     = var.access_logs.keep_days >= 30
    error_message = "Access logs are kept for 30 days at least: the class they lie in is paid for so long anyway."
  }
}

variable "grants" {
  description = "Who may do what where, under names of your choice: the bucket, the full name of a role, the account's address."
  type = map(object({
    bucket  = string
    role    = string
    account = string
  }))
  default = {}

  validation {
    condition     = alltrue([for grant in var.grants : !contains(["allUsers", "allAuthenticatedUsers"], grant.account)])
    error_message = "No bucket is for everybody."
  }
}

variable "is_disposable" {
  description = "Whether buckets are destroyed with what lies in them; false wherever somebody would miss it."
  type        = bool
  default     = false
}
