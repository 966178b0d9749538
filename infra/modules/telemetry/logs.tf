# Logs by category, each kept as long as its stage wants; encrypted with our key, and open to SQL.

resource "google_logging_project_bucket_config" "this" {
  for_each = var.logs

  project          = var.project
  location         = var.region
  bucket_id        = "${var.prefix}-${each.key}"
  description      = each.value.description
  retention_days   = each.value.keep_days
  locked           = false
  enable_analytics = true

  cmek_settings {
    kms_key_name = var.kms_key
  }

  dynamic "index_configs" {
    for_each = each.value.indexed

    content {
      field_path = index_configs.key
      type       = index_configs.value
    }
  }
}

resource "google_logging_project_sink" "this" {
  for_each = var.logs

  project                = var.project
  name                   = "${var.prefix}-${each.key}"
  description            = each.value.description
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.this[each.key].id}"
  filter                 = "(${local.filters[each.key]}) AND severity >= ${var.level}"
  unique_writer_identity = true

  # Reading the same health check ten thousand times helps nobody, and is paid for.
  exclusions {
    name        = "health-checks"
    description = "Health checks that were well."
    filter      = "httpRequest.requestUrl=~\"/(health|ready)$\" AND httpRequest.status<400"
  }
}

# What lies in our buckets need not lie in the common one too.
resource "google_logging_project_exclusion" "twice" {
  project     = var.project
  name        = "${var.prefix}-kept-elsewhere"
  description = "What Audobon's own buckets of logs keep."
  filter      = join(" OR ", [for name in sort(keys(var.logs)) : "(${local.filters[name]})"])
}

# Logs as tables: BigQuery reads the buckets in place.
resource "google_logging_linked_dataset" "this" {
  for_each = var.logs

  parent      = "projects/${var.project}"
  location    = var.region
  bucket      = google_logging_project_bucket_config.this[each.key].bucket_id
  link_id     = "${replace(var.prefix, "-", "_")}_${replace(each.key, "-", "_")}_logs"
  description = each.value.description
}

locals {
  filters = { for name, log in var.logs : name => replace(log.filter, "PREFIX", var.prefix) }
}
