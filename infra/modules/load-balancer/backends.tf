# What lies behind the door: services of Cloud Run, and books that are ready to be fetched.

resource "google_compute_region_network_endpoint_group" "this" {
  for_each = var.services

  project               = var.project
  name                  = "${var.prefix}-${each.key}"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = each.value.service
  }
}

resource "google_compute_backend_service" "this" {
  for_each = var.services

  project               = var.project
  name                  = "${var.prefix}-${each.key}"
  protocol              = "HTTPS"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  security_policy       = google_compute_security_policy.this.id
  # Answers are for whoever asked, and depend on a token: nothing of them may be kept for others.
  enable_cdn = false
  custom_response_headers = [
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    "X-Content-Type-Options: nosniff",
  ]

  backend {
    group = google_compute_region_network_endpoint_group.this[each.key].id
  }

  log_config {
    enable      = true
    sample_rate = var.log_sampling
  }
}

# Finished books, near to whoever fetches them. The bucket stays closed: only links that were signed, and for an hour, open it.
resource "google_compute_backend_bucket" "delivery" {
  count = var.delivery == null ? 0 : 1

  project     = var.project
  name        = "${var.prefix}-delivery"
  bucket_name = var.delivery.bucket
  enable_cdn  = true

  cdn_policy {
    cache_mode                   = "CACHE_ALL_STATIC"
    client_ttl                   = 3600
    default_ttl                  = 3600
    max_ttl                      = 86400
    negative_caching             = true
    serve_while_stale            = 0
    signed_url_cache_max_age_sec = 3600

    cache_key_policy {
      query_string_whitelist = ["version"]
    }
  }
}

# Cloud CDN reads the bucket as an identity of its own, which is there once a key for signed links is.
resource "google_storage_bucket_iam_member" "delivery" {
  count = try(var.delivery.has_signing_key, false) ? 1 : 0

  bucket = var.delivery.bucket
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${var.delivery.reader}"
}
