# What every other module rests on: the project's number, its APIs, and the labels that costs are told by.

data "google_project" "this" {
  project_id = var.project
}

# Cloud Logging encrypts as an account that it tells only when asked; asking makes it.
data "google_logging_project_cmek_settings" "this" {
  project = var.project

  depends_on = [google_project_service.this]
}

resource "google_project_service" "this" {
  for_each = var.apis

  project = var.project
  service = each.value

  # Another user of the project may need it too; an API that is on costs nothing.
  disable_on_destroy         = false
  disable_dependent_services = false

  timeouts {
    create = "20m"
    update = "20m"
  }
}

locals {
  number = data.google_project.this.number

  labels = merge(var.labels, {
    app        = "audobon"
    stage      = var.stage
    managed_by = "terraform"
  })

  # The identities by which Google's services act in this project. They encrypt with our keys, so each needs a grant.
  agents = {
    artifact_registry = "service-${local.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    bigquery          = "bq-${local.number}@bigquery-encryption.iam.gserviceaccount.com"
    cloud_build       = "service-${local.number}@gcp-sa-cloudbuild.iam.gserviceaccount.com"
    cloud_functions   = "service-${local.number}@gcf-admin-robot.iam.gserviceaccount.com"
    cloud_run         = "service-${local.number}@serverless-robot-prod.iam.gserviceaccount.com"
    cloud_sql         = "service-${local.number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    content_delivery  = "service-${local.number}@cloud-cdn-fill.iam.gserviceaccount.com"
    eventarc          = "service-${local.number}@gcp-sa-eventarc.iam.gserviceaccount.com"
    logging           = data.google_logging_project_cmek_settings.this.service_account_id
    monitoring        = "service-${local.number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
    pubsub            = "service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    storage           = "service-${local.number}@gs-project-accounts.iam.gserviceaccount.com"
  }
}
