# Buckets by what lies in them. Nobody outside can read any; each is encrypted with our key, and keeps what is deleted.

resource "google_storage_bucket" "this" {
  for_each = var.buckets

  project                     = var.project
  name                        = "${var.project}-${var.prefix}-${each.key}"
  location                    = upper(each.value.location)
  storage_class               = each.value.storage_class
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.is_disposable
  labels                      = merge(var.labels, { data = each.key })

  # Two regions in step within 15 minutes; only for a bucket that lies in two.
  rpo = length(each.value.regions) == 2 ? "ASYNC_TURBO" : null

  dynamic "custom_placement_config" {
    for_each = length(each.value.regions) == 2 ? [each.value.regions] : []

    content {
      data_locations = [for region in custom_placement_config.value : upper(region)]
    }
  }

  encryption {
    default_kms_key_name = each.value.kms_key
  }

  # Cloud Storage keeps versions or a term for all objects, not both; within the term nothing is replaced anyway.
  versioning {
    enabled = each.value.retention_days == null
  }

  # What is deleted stays, and is paid for, for so long. Nothing for what holds copies of people's data for an hour.
  soft_delete_policy {
    retention_duration_seconds = each.value.soft_delete_days * local.day_seconds
  }

  dynamic "retention_policy" {
    for_each = each.value.retention_days == null ? [] : [each.value.retention_days]

    content {
      retention_period = retention_policy.value * local.day_seconds
      is_locked        = each.value.is_locked
    }
  }

  logging {
    log_bucket        = google_storage_bucket.access_logs.name
    log_object_prefix = each.key
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.lifecycle_rules

    content {
      action {
        type          = lifecycle_rule.value.action.type
        storage_class = lifecycle_rule.value.action.storageClass
      }

      condition {
        age                        = lifecycle_rule.value.condition.age
        send_age_if_zero           = lifecycle_rule.value.condition.age == 0
        created_before             = lifecycle_rule.value.condition.createdBefore
        custom_time_before         = lifecycle_rule.value.condition.customTimeBefore
        days_since_custom_time     = lifecycle_rule.value.condition.daysSinceCustomTime
        days_since_noncurrent_time = lifecycle_rule.value.condition.daysSinceNoncurrentTime
        noncurrent_time_before     = lifecycle_rule.value.condition.noncurrentTimeBefore
        with_state                 = lookup(local.states, tostring(lifecycle_rule.value.condition.isLive == null ? "" : lifecycle_rule.value.condition.isLive), null)
        matches_storage_class      = lifecycle_rule.value.condition.matchesStorageClass
        matches_prefix             = lifecycle_rule.value.condition.matchesPrefix
        matches_suffix             = lifecycle_rule.value.condition.matchesSuffix
        num_newer_versions         = lifecycle_rule.value.condition.numNewerVersions
      }
    }
  }

  # Versions that were replaced or deleted go after a while; without this they would be paid for for ever.
  dynamic "lifecycle_rule" {
    for_each = each.value.retention_days == null ? [each.value.noncurrent_days] : []

    content {
      action {
        type = "Delete"
      }

      condition {
        days_since_noncurrent_time = lifecycle_rule.value
        with_state                 = "ARCHIVED"
      }
    }
  }
}

locals {
  day_seconds = 24 * 60 * 60
  states      = { "true" = "LIVE", "false" = "ARCHIVED" }
}
