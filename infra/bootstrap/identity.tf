# Who looks at a stage when no person does: the continuous integration outside, known by its own tokens.
#
# It reads and plans: what is proposed, and whether somebody changed something by hand. It changes nothing. Whoever
# could apply could give rights, and so take all; that is for people.

resource "google_service_account" "planner" {
  project      = var.project
  account_id   = "${var.prefix}-planner"
  display_name = "Audobon planner"
  description  = "Reads this stage and plans it, from the continuous integration."

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "planner" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.planner.member
}

resource "google_project_iam_member" "planner" {
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
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.this[0].name}/attribute.repository/${var.integration.repository}"
}
