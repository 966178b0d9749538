# Who did what in the project: written down by Google, and kept where nobody can change it.

resource "google_project_iam_audit_config" "this" {
  project = var.project
  service = "allServices"

  dynamic "audit_log_config" {
    for_each = var.access_kinds

    content {
      log_type = audit_log_config.value
    }
  }
}

# A bucket of Cloud Logging for questions ...
resource "google_logging_project_bucket_config" "audit" {
  project          = var.project
  location         = var.region
  bucket_id        = "${var.prefix}-audit"
  description      = "The audit log, to be asked."
  retention_days   = var.log_days
  locked           = var.is_locked
  enable_analytics = true

  cmek_settings {
    kms_key_name = var.logging_key
  }
}

resource "google_logging_project_sink" "questions" {
  project                = var.project
  name                   = "${var.prefix}-audit-log"
  description            = "The audit log, to be asked."
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = local.filter
  unique_writer_identity = true
}

# ... and one of Cloud Storage for years.
resource "google_storage_bucket" "audit" {
  project                     = var.project
  name                        = "${var.project}-${var.prefix}-audit"
  location                    = upper(var.region)
  storage_class               = "NEARLINE"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.is_disposable
  labels                      = merge(var.labels, { data = "audit" })

  encryption {
    default_kms_key_name = var.storage_key
  }

  # Cloud Storage keeps versions or a term for all objects, not both.
  versioning {
    enabled = var.is_disposable
  }

  soft_delete_policy {
    retention_duration_seconds = 30 * local.day_seconds
  }

  # Locked, nobody can shorten it, not even the owner of the project. That is for production alone: it is for ever.
  dynamic "retention_policy" {
    for_each = var.is_disposable ? [] : [var.keep_days]

    content {
      retention_period = retention_policy.value * local.day_seconds
      is_locked        = var.is_locked
    }
  }

  logging {
    log_bucket        = var.access_logs
    log_object_prefix = "audit"
  }

  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "ARCHIVE"
    }

    condition {
      age = 90
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age        = var.keep_days + 1
      with_state = "ANY"
    }
  }
}

resource "google_logging_project_sink" "years" {
  project                = var.project
  name                   = "${var.prefix}-audit-years"
  description            = "The audit log, for years."
  destination            = "storage.googleapis.com/${google_storage_bucket.audit.name}"
  filter                 = local.filter
  unique_writer_identity = true
}

# The sink writes as an identity of its own, which may create and nothing else.
resource "google_storage_bucket_iam_member" "years" {
  bucket = google_storage_bucket.audit.name
  role   = "roles/storage.objectCreator"
  member = google_logging_project_sink.years.writer_identity
}

locals {
  day_seconds = 24 * 60 * 60

  # Google's audit logs, and the lines that Audobon itself writes to its audit log.
  filter = "logName:\"cloudaudit.googleapis.com\" OR jsonPayload.category=\"audit\""
}
