# The one door from outside: HTTPS alone, a certificate that renews itself, and a guard before it.

resource "google_compute_global_address" "this" {
  project = var.project
  name    = "${var.prefix}-door"
  labels  = var.labels
}

resource "google_compute_managed_ssl_certificate" "this" {
  project = var.project
  # A certificate cannot be changed: another name makes another, before the old one goes.
  name = "${var.prefix}-${substr(sha256(var.domain), 0, 8)}"

  managed {
    domains = [var.domain]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "this" {
  project         = var.project
  name            = "${var.prefix}-tls"
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_url_map" "this" {
  project         = var.project
  name            = "${var.prefix}-ways"
  default_service = google_compute_backend_service.this[var.default_service].id

  host_rule {
    hosts        = [var.domain]
    path_matcher = "audobon"
  }

  path_matcher {
    name            = "audobon"
    default_service = google_compute_backend_service.this[var.default_service].id

    dynamic "path_rule" {
      for_each = { for name, service in var.services : name => service if length(service.paths) > 0 }

      content {
        paths   = path_rule.value.paths
        service = google_compute_backend_service.this[path_rule.key].id
      }
    }

    dynamic "path_rule" {
      for_each = google_compute_backend_bucket.delivery

      content {
        paths   = ["/delivery/*"]
        service = path_rule.value.id
      }
    }
  }
}

resource "google_compute_target_https_proxy" "this" {
  project          = var.project
  name             = "${var.prefix}-https"
  url_map          = google_compute_url_map.this.id
  ssl_certificates = [google_compute_managed_ssl_certificate.this.id]
  ssl_policy       = google_compute_ssl_policy.this.id
  quic_override    = "ENABLE"
}

resource "google_compute_global_forwarding_rule" "https" {
  project               = var.project
  name                  = "${var.prefix}-https"
  target                = google_compute_target_https_proxy.this.id
  ip_address            = google_compute_global_address.this.id
  ip_protocol           = "TCP"
  port_range            = "443"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  labels                = var.labels
}

# Whoever comes without encryption is sent to the door with it.
resource "google_compute_url_map" "redirect" {
  project = var.project
  name    = "${var.prefix}-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }
}

resource "google_compute_target_http_proxy" "redirect" {
  project = var.project
  name    = "${var.prefix}-redirect"
  url_map = google_compute_url_map.redirect.id
}

resource "google_compute_global_forwarding_rule" "redirect" {
  project               = var.project
  name                  = "${var.prefix}-redirect"
  target                = google_compute_target_http_proxy.redirect.id
  ip_address            = google_compute_global_address.this.id
  ip_protocol           = "TCP"
  port_range            = "80"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  labels                = var.labels
}
