variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Where the instance is."
  type        = string
}

variable "name" {
  description = "Name of the instance; Google gives it to no other for a week after it is gone."
  type        = string
}

variable "labels" {
  description = "Labels of the instance."
  type        = map(string)
}

variable "version_name" {
  description = "Version of PostgreSQL in Cloud SQL's words."
  type        = string
  default     = "POSTGRES_18"

  validation {
    condition     = can(regex("^POSTGRES_(1[7-9]|2[0-9])$", var.version_name))
    error_message = "Audobon needs PostgreSQL 17 or newer."
  }
}

variable "tier" {
  description = "Size of the machine: db-custom-CORES-MEGABYTES."
  type        = string

  validation {
    condition     = can(regex("^db-custom-[0-9]+-[0-9]+$", var.tier))
    error_message = "The tier is written like db-custom-1-3840; shared cores come without a promise."
  }
}

variable "availability_type" {
  description = "ZONAL, or REGIONAL: with a second machine in another zone that takes over by itself."
  type        = string

  validation {
    condition     = contains(["ZONAL", "REGIONAL"], var.availability_type)
    error_message = "The database is ZONAL or REGIONAL."
  }
}

variable "disk_gigabytes" {
  description = "Disk to begin with; it grows by itself."
  type        = number
  default     = 20
}

variable "most_disk_gigabytes" {
  description = "What the disk may grow to: a disk never shrinks, and is paid for."
  type        = number
  default     = 200

  validation {
    condition     = var.most_disk_gigabytes > 0
    error_message = "0 would let the disk, and its price, grow without a bound."
  }
}

variable "private_network" {
  description = "Id of the network, known once its peering with Google's services stands."
  type        = string
}

variable "services_range" {
  description = "Name of the range in that network for Google's services."
  type        = string
}

variable "kms_key" {
  description = "Id of the key that the disk and its backups are encrypted with, known once Cloud SQL may use it."
  type        = string
}

variable "backup_time" {
  description = "When the four hours begin in which the daily backup is made (UTC)."
  type        = string
  default     = "02:00"

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.backup_time))
    error_message = "The time is written like 02:00."
  }
}

variable "backup_location" {
  description = "Where backups lie: another region, or such as us; a fire where the instance is must not take both."
  type        = string
}

variable "backups_kept" {
  description = "How many daily backups are kept."
  type        = number

  validation {
    condition     = var.backups_kept >= 7 && var.backups_kept <= 365
    error_message = "Between 7 and 365 backups are kept."
  }
}

variable "recovery_days" {
  description = "For how many days the database can be restored to any instant."
  type        = number

  validation {
    condition     = var.recovery_days >= 1 && var.recovery_days <= 7
    error_message = "Cloud SQL Enterprise keeps its log for 1 to 7 days."
  }
}

variable "accounts" {
  description = "Service accounts that may log in, under names of your choice: their addresses."
  type        = map(string)
}

variable "is_protected" {
  description = "Whether it can be destroyed only after this was taken back, by Terraform as well as by anybody else."
  type        = bool
  default     = true
}
