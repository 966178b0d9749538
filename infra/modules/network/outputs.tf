output "network" {
  description = "Id of the network."
  value       = google_compute_network.this.id
}

output "subnetwork" {
  description = "Id of the subnetwork of Cloud Run's instances, whose names outside can be looked up from there."
  value       = google_compute_subnetwork.workers.id
  depends_on  = [google_compute_router_nat.this]
}

output "worker_tag" {
  description = "The tag that lets an instance out to Google's APIs."
  value       = local.worker_tag
}

output "services_range" {
  description = "Name of the range for managed services, known once the peering stands."
  value       = google_compute_global_address.services.name
  depends_on  = [google_service_networking_connection.services]
}

output "private_network" {
  description = "The network's id, known once the peering stands: what a database with a private address waits for."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.services]
}

output "connector" {
  description = "Id of the connector of functions; null when there is none."
  value       = one(google_vpc_access_connector.functions[*].id)
}

output "egress_address" {
  description = "The address that the outside sees workers come from."
  value       = google_compute_address.egress.address
}
