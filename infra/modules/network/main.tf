# One private network: workers go out through it, the database is reached in it, and nobody comes in.

resource "google_compute_network" "this" {
  project                 = var.project
  name                    = "${var.prefix}-network"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "workers" {
  project                  = var.project
  name                     = "${var.prefix}-workers"
  description              = "Addresses of Cloud Run: each instance takes some, and holds them a while after it ends."
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.workers_range
  private_ip_google_access = true
  stack_type               = "IPV4_ONLY"

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = var.flow_sampling
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Private services access: the range must be there before a database may take an address of it.
resource "google_compute_global_address" "services" {
  project       = var.project
  name          = "${var.prefix}-services"
  description   = "Addresses that Google's managed services (Cloud SQL) take in our network."
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  network       = google_compute_network.this.id
  address       = split("/", var.services_range)[0]
  prefix_length = tonumber(split("/", var.services_range)[1])
  labels        = var.labels
}

resource "google_service_networking_connection" "services" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]

  # Google refuses to remove the peering for days after a database is gone.
  deletion_policy = "ABANDON"
}
