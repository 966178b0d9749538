# Who plans and applies when no person does: the continuous integration outside, known by its own tokens.

resource "google_service_account" "planner" {
  project      = var.project
  account_id   = "${var.prefix}-planner"
  display_name = "Audobon planner"
  description  = "Plans and applies this stage from the continuous integration."

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "planner" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectUser"
  member = google_service_account.planner.member
}

# What a stage is made of, service by service; neither owner nor editor. Giving rights is among it: whoever applies
# gives the accounts theirs. So the planner is for branches that were looked at, and for no other.
resource "google_project_iam_member" "planner" {
  #checkov:skip=CKV_GCP_49:Whoever makes the service accounts of a stage has to administer them; bound to reviewed branches.
  for_each = var.planner_roles

  project = var.project
  role    = each.value
  member  = google_service_account.planner.member
}

resource "google_iam_workload_identity_pool" "this" {
  count = var.integration == null ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = "${var.prefix}-integration"
  display_name              = "Audobon: integration"
  description               = "Tokens of the continuous integration outside."
  disabled                  = false

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "this" {
  count = var.integration == null ? 0 : 1

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "integration"
  display_name                       = "Audobon: integration"
  description                        = "Of all that its issuer gives tokens to, our repository alone."

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    "attribute.place"      = "assertion.repository + \"@\" + assertion.ref"
  }

  attribute_condition = "assertion.repository == \"${var.integration.repository}\""

  oidc {
    issuer_uri        = var.integration.issuer
    allowed_audiences = var.integration.audiences
  }
}

resource "google_service_account_iam_member" "planner" {
  count = var.integration == null ? 0 : 1

  service_account_id = google_service_account.planner.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.this[0].name}/attribute.place/${var.integration.repository}@${var.integration.ref}"
}
