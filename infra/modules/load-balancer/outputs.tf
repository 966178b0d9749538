output "address" {
  description = "The address that the domain's A record has to name; the certificate is made once it does."
  value       = google_compute_global_address.this.address
}

output "url" {
  description = "Where it is reached."
  value       = "https://${var.domain}"
  depends_on  = [google_compute_global_forwarding_rule.https]
}
