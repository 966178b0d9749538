# The way out: a fixed address, with what passes through it logged.

resource "google_compute_router" "this" {
  project = var.project
  name    = "${var.prefix}-router"
  region  = var.region
  network = google_compute_network.this.id
}

resource "google_compute_address" "egress" {
  project      = var.project
  name         = "${var.prefix}-egress"
  description  = "The address that the outside sees workers come from."
  region       = var.region
  address_type = "EXTERNAL"
  labels       = var.labels
}

resource "google_compute_router_nat" "this" {
  project                             = var.project
  name                                = "${var.prefix}-nat"
  region                              = var.region
  router                              = google_compute_router.this.name
  nat_ip_allocate_option              = "MANUAL_ONLY"
  nat_ips                             = [google_compute_address.egress.self_link]
  source_subnetwork_ip_ranges_to_nat  = "LIST_OF_SUBNETWORKS"
  enable_dynamic_port_allocation      = true
  enable_endpoint_independent_mapping = false
  min_ports_per_vm                    = 32
  max_ports_per_vm                    = 4096

  subnetwork {
    name                    = google_compute_subnetwork.workers.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Cloud Run functions reach the network through a connector; Cloud Run services need none.
resource "google_vpc_access_connector" "functions" {
  count = var.connector == null ? 0 : 1

  project       = var.project
  name          = "${var.prefix}-fn"
  region        = var.region
  network       = google_compute_network.this.id
  ip_cidr_range = var.connector.range
  machine_type  = "e2-micro"
  min_instances = var.connector.min_instances
  max_instances = var.connector.max_instances
}
