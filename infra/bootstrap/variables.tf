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
    The continuous integration that may apply: the issuer of its tokens, the repository as they name it, and the one ref
    of it that may apply. null: people apply, and nobody else.
  EOT
  type = object({
    issuer     = string
    repository = string
    ref        = optional(string, "refs/heads/main")
    audiences  = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.integration == null ? true : startswith(var.integration.issuer, "https://") && can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.integration.repository)) && startswith(var.integration.ref, "refs/")
    error_message = "The issuer is an https address, the repository OWNER/NAME, the ref such as refs/heads/main."
  }
}

variable "planner_roles" {
  description = "What the planner may do in the project."
  type        = set(string)
  default = [
    "roles/artifactregistry.admin",
    "roles/bigquery.admin",
    "roles/binaryauthorization.policyAdmin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudfunctions.admin",
    "roles/cloudkms.admin",
    "roles/cloudscheduler.admin",
    "roles/cloudsql.admin",
    "roles/cloudtasks.queueAdmin",
    "roles/compute.loadBalancerAdmin",
    "roles/compute.networkAdmin",
    "roles/compute.securityAdmin",
    "roles/containeranalysis.notes.editor",
    "roles/iam.roleAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/logging.admin",
    "roles/monitoring.admin",
    "roles/pubsub.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/servicenetworking.networksAdmin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
    "roles/vpcaccess.admin",
  ]

  validation {
    condition     = length(setintersection(var.planner_roles, ["roles/owner", "roles/editor", "roles/viewer"])) == 0
    error_message = "The planner is neither owner, editor nor viewer: name the services it changes."
  }
}
