# The state says where everything is, so it is encrypted, kept in versions, and nobody's but the planner's.

resource "google_kms_key_ring" "state" {
  project  = var.project
  name     = "${var.prefix}-state"
  location = var.region

  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "state" {
  name                       = "${var.prefix}-state"
  key_ring                   = google_kms_key_ring.state.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "7776000s" # 90 days
  destroy_scheduled_duration = "${30 * local.day_seconds}s"
  labels                     = local.labels

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "storage" {
  crypto_key_id = google_kms_crypto_key.state.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:service-${data.google_project.this.number}@gs-project-accounts.iam.gserviceaccount.com"
}

resource "google_storage_bucket" "state" {
  project                     = var.project
  name                        = "${var.project}-${var.prefix}-state"
  location                    = upper(var.region)
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  labels                      = merge(local.labels, { data = "state" })

  encryption {
    default_kms_key_name = google_kms_crypto_key.state.id
  }

  # Every state there ever was: the way back from a wrong apply.
  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 30 * local.day_seconds
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      num_newer_versions         = 20
      days_since_noncurrent_time = 90
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_kms_crypto_key_iam_member.storage]
}
