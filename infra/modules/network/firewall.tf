# What may pass is written down; the rest is refused, and the refusal is logged.

locals {
  refused_last = 65534
}

resource "google_compute_firewall" "refuse_in" {
  project       = var.project
  name          = "${var.prefix}-refuse-in"
  description   = "Nothing in this network listens: nobody comes in."
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = local.refused_last
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "refuse_out" {
  project            = var.project
  name               = "${var.prefix}-refuse-out"
  description        = "What no other rule allows does not leave."
  network            = google_compute_network.this.id
  direction          = "EGRESS"
  priority           = local.refused_last
  destination_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "database" {
  project            = var.project
  name               = "${var.prefix}-database"
  description        = "Workers to the database: PostgreSQL, and the port of Google's connector."
  network            = google_compute_network.this.id
  direction          = "EGRESS"
  priority           = 1000
  destination_ranges = [var.services_range]

  allow {
    protocol = "tcp"
    ports    = ["5432", "3307"]
  }
}

resource "google_compute_firewall" "https" {
  project            = var.project
  name               = "${var.prefix}-https"
  description        = "Workers to Google's APIs, which names resolve to addresses all over."
  network            = google_compute_network.this.id
  direction          = "EGRESS"
  priority           = 1000
  destination_ranges = ["0.0.0.0/0"]
  target_tags        = [local.worker_tag]

  allow {
    protocol = "tcp"
    ports    = ["443"]
  }
}

resource "google_compute_firewall" "names" {
  project            = var.project
  name               = "${var.prefix}-names"
  description        = "Names are looked up at the metadata server."
  network            = google_compute_network.this.id
  direction          = "EGRESS"
  priority           = 1000
  destination_ranges = ["169.254.169.254/32"]

  allow {
    protocol = "udp"
    ports    = ["53"]
  }

  allow {
    protocol = "tcp"
    ports    = ["53", "80"]
  }
}

locals {
  worker_tag = "${var.prefix}-worker"
}
