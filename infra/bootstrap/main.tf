# What has to be there before a stage can be: where its state is kept, and who may change it.
#
# Run once for each project, by a person who owns it, with the state on their own disk; then that state is moved into
# the bucket made here (README.md tells how).

provider "google" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}

locals {
  day_seconds = 24 * 60 * 60

  labels = {
    app        = "audobon"
    stage      = var.stage
    managed_by = "terraform"
    room       = "bootstrap"
  }
}

resource "google_project_service" "this" {
  for_each = toset([
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
  ])

  project                    = var.project
  service                    = each.value
  disable_on_destroy         = false
  disable_dependent_services = false
}

data "google_project" "this" {
  project_id = var.project

  depends_on = [google_project_service.this]
}
