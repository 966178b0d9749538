variable "project" {
  description = "Id of the project."
  type        = string
}

variable "project_number" {
  description = "Number of the project, which addresses of services are made of."
  type        = string
}

variable "region" {
  description = "Where the workers run."
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

variable "images" {
  description = "The images by size, each by its digest. What has none yet is not made."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for image in var.images : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "An image is named by its digest (...@sha256:...): a tag may mean another one tomorrow."
  }
}

variable "services" {
  description = <<-EOT
    The sizes of the worker service. arguments: the words after audobon. gpu: such as nvidia-l4, null for none. concurrency: tasks that one instance does
    at once. timeout_seconds: for how long Cloud Tasks waits. max_instances bounds what can be spent.
  EOT
  type = map(object({
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

  validation {
    condition     = alltrue([for service in var.services : service.max_instances >= 1 && service.max_instances <= 100 && service.min_instances >= 0 && service.min_instances <= service.max_instances])
    error_message = "A service has a bound of 1 to 100 instances, and keeps at most as many awake."
  }

  validation {
    condition     = alltrue([for service in var.services : service.timeout_seconds >= 15 && service.timeout_seconds <= 1800])
    error_message = "Cloud Tasks waits between 15 seconds and 30 minutes."
  }

  validation {
    condition     = alltrue([for service in var.services : service.gpu == null ? true : service.cpus >= 4 && service.memory_mebibytes >= 16384 && service.concurrency == 1])
    error_message = "With a GPU, Cloud Run wants 4 processors and 16 GiB at least; and one task at a time is done on it."
  }

  validation {
    condition     = alltrue([for service in var.services : service.scratch_mebibytes < service.memory_mebibytes])
    error_message = "What is written to the scratch folder lies in the instance's memory, and must leave some."
  }
}

variable "pools" {
  description = "Pools of workers that take tasks by themselves: their size, how many, and whose image and account they run with."
  type = map(object({
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
  default = {}

  validation {
    condition     = alltrue([for pool in var.pools : pool.instances >= 0 && pool.instances <= 20])
    error_message = "A pool has 0 to 20 instances: each is paid for while it is there."
  }
}

variable "jobs" {
  description = <<-EOT
    What runs by the clock (schedule: a cron line, UTC) or when it is called (no schedule): the words after audobon,
    whose image and account it runs with, its size and bounds. room: the label costs are told by.
  EOT
  type = map(object({
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
  default = {}

  validation {
    condition     = alltrue([for job in var.jobs : job.timeout_seconds <= 86400 && job.max_retries >= 0 && job.max_retries <= 3])
    error_message = "A job ends within a day, and is tried again at most 3 times."
  }
}

variable "accounts" {
  description = "Addresses of the service accounts by name: those that pools and jobs run with, and scheduler and deployer."
  type        = map(string)

  validation {
    condition     = contains(keys(var.accounts), "scheduler") && contains(keys(var.accounts), "deployer")
    error_message = "The accounts scheduler and deployer are needed."
  }
}

variable "worker_account" {
  description = "Address of the account that the worker service runs with."
  type        = string
}

variable "callers" {
  description = "Accounts that may call the worker service, under names of your choice; such as the one Cloud Tasks shows."
  type        = map(string)

  validation {
    condition     = alltrue([for account in var.callers : endswith(account, ".gserviceaccount.com")])
    error_message = "Only single service accounts may call; never everybody."
  }
}

variable "deployer_role" {
  description = "Full name of the role by which the deployer changes what runs."
  type        = string
}

variable "audiences" {
  description = "Further addresses that tokens may be made for, such as that of the load balancer."
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "Settings of Audobon that hold in every container, as AUDOBON_ variables; nothing secret."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : startswith(name, "AUDOBON_") && !can(regex("PASSWORD|PASSPHRASE|SECRET|TOKEN", name))])
    error_message = "Variables begin with AUDOBON_, and hold no secret: everybody who sees the service reads them."
  }
}

variable "network" {
  description = "Id of the network that workers go out through."
  type        = string
}

variable "subnetwork" {
  description = "Id of the subnetwork whose addresses they take."
  type        = string
}

variable "worker_tag" {
  description = "The tag that the firewall lets out."
  type        = string
}

variable "kms_key" {
  description = "Id of the key that images and their state are encrypted with, known once Cloud Run may use it."
  type        = string
}

variable "takes_signed_images_only" {
  description = "Whether the project's rule for images (binary authorization) holds here."
  type        = bool
  default     = false
}

variable "is_protected" {
  description = "Whether what is here can be destroyed only after this was taken back."
  type        = bool
  default     = true
}
