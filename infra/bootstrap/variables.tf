variable "project" {
  description = "Id of the stage's project; it must exist and have billing."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id has 6 to 30 lowercase letters, digits and hyphens, and begins with a letter."
  }
}

variable "stage" {
  description = "development, staging or production."
  type        = string

  validation {
    condition     = contains(["development", "staging", "production"], var.stage)
    error_message = "The stage is development, staging or production."
  }
}

variable "region" {
  description = "Where the state is kept."
  type        = string
  default     = "us-central1"
}

variable "prefix" {
  description = "What names begin with; the same as the setting cloud.tasks_queue_prefix."
  type        = string
  default     = "audobon"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,13}$", var.prefix))
    error_message = "The prefix has 2 to 14 lowercase letters, digits and hyphens, and begins with a letter."
  }
}

variable "integration" {
  description = <<-EOT
    The continuous integration that may plan: the issuer of its tokens, and the repository as they name it. null: people
    plan, and nobody else.
  EOT
  type = object({
    issuer     = string
    repository = string
    audiences  = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.integration == null ? true : startswith(var.integration.issuer, "https://") && can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.integration.repository))
    error_message = "The issuer is an https address, the repository OWNER/NAME."
  }
}

variable "planner_roles" {
  description = "What the planner may read in the project, service by service."
  type        = set(string)
  default = [
    "roles/artifactregistry.reader",
    "roles/bigquery.metadataViewer",
    "roles/binaryauthorization.attestorsViewer",
    "roles/binaryauthorization.policyViewer",
    "roles/browser",
    "roles/cloudbuild.builds.viewer",
    "roles/cloudfunctions.viewer",
    "roles/cloudkms.viewer",
    "roles/cloudquotas.viewer",
    "roles/cloudscheduler.viewer",
    "roles/cloudsql.viewer",
    "roles/cloudtasks.viewer",
    "roles/compute.viewer",
    "roles/containeranalysis.notes.viewer",
    "roles/iam.roleViewer",
    "roles/iam.securityReviewer",
    "roles/logging.viewer",
    "roles/monitoring.viewer",
    "roles/pubsub.viewer",
    "roles/run.viewer",
    "roles/serviceusage.serviceUsageConsumer",
    "roles/storage.bucketViewer",
    "roles/vpcaccess.viewer",
  ]

  validation {
    condition     = alltrue([for role in var.planner_roles : can(regex("([vV]iewer|[rR]eader|Reviewer|browser|Consumer)$", role)) && !contains(["roles/viewer"], role)])
    error_message = "The planner reads, service by service: it is given no role that changes anything, nor that of a viewer of all."
  }
}
