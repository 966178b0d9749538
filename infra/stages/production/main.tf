# The stage production: one project, and in it all that Audobon has in the cloud. What differs from the others is in the settings.

provider "google" {
  project = var.project
  region  = var.settings.region

  # Budgets and quotas are asked for in the name of this project.
  user_project_override = true
  billing_project       = var.project
}

module "stage" {
  source = "../../modules/stage"

  project         = var.project
  settings        = var.settings
  labels          = var.labels
  addresses       = var.addresses
  domain          = var.domain
  has_signing_key = var.has_signing_key
  billing_account = var.billing_account
  currency        = var.currency
  repository      = var.repository
  images          = var.images
  sources         = var.sources
  federated       = var.federated
}
