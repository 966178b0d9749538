# Who acts in the cloud: one account for each duty, with the rights of that duty alone.

resource "google_service_account" "this" {
  for_each = var.accounts

  project      = var.project
  account_id   = "${var.prefix}-${each.key}"
  display_name = "Audobon ${replace(each.key, "-", " ")}"
  description  = each.value.duty
}

# Google's own roles give more than the duties need; these give what the code calls, and no more.
resource "google_project_iam_custom_role" "this" {
  for_each = var.roles

  project     = var.project
  role_id     = "${replace(var.prefix, "-", "_")}_${each.key}"
  title       = "Audobon: ${each.value.title}"
  description = each.value.description
  permissions = each.value.permissions
  stage       = "GA"
}

# Rights that can only be given in the whole project. All others are given by the module whose resource they are for.
resource "google_project_iam_member" "this" {
  for_each = local.project_roles

  project = var.project
  role    = startswith(each.value.role, "own:") ? google_project_iam_custom_role.this[trimprefix(each.value.role, "own:")].name : each.value.role
  member  = google_service_account.this[each.value.account].member

  dynamic "condition" {
    for_each = startswith(each.value.role, "roles/cloudsql.") ? [var.database_instance] : []

    content {
      title       = "this-database-alone"
      description = "Of the project's databases, only Audobon's."
      expression  = "resource.name == \"projects/${var.project}/instances/${condition.value}\" && resource.service == \"sqladmin.googleapis.com\""
    }
  }
}

# Whoever orders work to be done by another account must be allowed to.
resource "google_service_account_iam_member" "acts_as" {
  for_each = local.acts_as

  service_account_id = google_service_account.this[each.value.as].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.value.account].member
}

# The continuous integration outside, by its own tokens: no key of ours exists that could be stolen.
resource "google_service_account_iam_member" "federated" {
  for_each = var.federated

  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = each.value
}

locals {
  project_roles = merge([
    for name, account in var.accounts : {
      for role in account.project_roles : "${name}/${role}" => { account = name, role = role }
    }
  ]...)

  acts_as = merge([
    for name, account in var.accounts : {
      for other in account.acts_as : "${name}/${other}" => { account = name, as = other }
    }
  ]...)
}
