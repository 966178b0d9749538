terraform {
  required_version = ">= 1.7"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # The bucket is named by `audobon cloud plan`: bootstrap makes one in each project.
  backend "gcs" {}
}
