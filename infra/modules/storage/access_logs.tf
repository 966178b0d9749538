# Who read and wrote which object, as Cloud Storage itself writes it down.

resource "google_storage_bucket" "access_logs" {
  project                     = var.project
  name                        = "${var.project}-${var.prefix}-access-logs"
  location                    = upper(var.access_logs.location)
  storage_class               = "NEARLINE"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.is_disposable
  labels                      = merge(var.labels, { data = "access-logs" })

  encryption {
    default_kms_key_name = var.access_logs.kms_key
  }

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 7 * local.day_seconds
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age        = var.access_logs.keep_days
      with_state = "ANY"
    }
  }
}

# Google delivers these logs as this group.
resource "google_storage_bucket_iam_member" "access_logs" {
  bucket = google_storage_bucket.access_logs.name
  role   = "roles/storage.objectCreator"
  member = "group:cloud-storage-analytics@google.com"
}
