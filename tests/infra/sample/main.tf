terraform {
  required_version = ">= 1.7"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

variable "percent" {
  type    = number
  default = 100

  validation {
    condition     = var.percent >= 0 && var.percent <= 100
    error_message = "Not a share of a hundred."
  }
}

data "google_project" "this" {
  project_id = "sample-project"
}

resource "google_kms_key_ring" "this" {
  project  = data.google_project.this.project_id
  name     = "sample"
  location = "us-central1"
}

resource "google_kms_crypto_key" "pages" {
  name            = "pages"
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s"
}

resource "google_storage_bucket" "pages" {
  project  = data.google_project.this.project_id
  name     = "sample-pages"
  location = "us-central1"

  encryption {
    default_kms_key_name = google_kms_crypto_key.pages.id
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age = 7
    }
  }
}

resource "google_cloud_run_v2_service" "worker" {
  project  = data.google_project.this.project_id
  name     = "worker"
  location = "us-central1"
  ingress  = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"

  template {
    containers {
      image = "us-docker.pkg.dev/sample-project/audobon/worker"
    }
  }

  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = var.percent
  }
}

output "key" {
  value = google_kms_crypto_key.pages.id
}

output "worker" {
  value = google_cloud_run_v2_service.worker.uri
}
