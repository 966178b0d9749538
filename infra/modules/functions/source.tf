# Where builds put the packed source of functions.

resource "google_storage_bucket" "source" {
  project                     = var.project
  name                        = "${var.project}-${var.prefix}-functions"
  location                    = upper(var.region)
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = merge(var.labels, { data = "source" })

  encryption {
    default_kms_key_name = var.storage_key
  }

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  logging {
    log_bucket        = var.access_logs
    log_object_prefix = "functions"
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.source.name
  role   = var.source_role
  member = "serviceAccount:${var.builder}"
}
