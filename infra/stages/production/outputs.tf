output "settings" {
  description = "What goes into the section [cloud] of audobon.toml; `audobon cloud status` prints it."
  value       = module.stage.settings
}

output "address" {
  description = "What the domain's A record has to name; null while there is no load balancer."
  value       = module.stage.address
}

output "repository_url" {
  description = "Where builds push images to."
  value       = module.stage.repository_url
}

output "source_bucket" {
  description = "Where builds put the packed source of functions."
  value       = module.stage.source_bucket
}

output "accounts" {
  description = "Addresses of the service accounts, by duty."
  value       = module.stage.accounts
}

output "services" {
  description = "Addresses of the worker services, by size."
  value       = module.stage.services
}

output "queues" {
  description = "Full names of the queues."
  value       = module.stage.queues
}

output "billing_dataset" {
  description = "The dataset that the export of the bill is to be switched on for, by hand."
  value       = module.stage.billing_dataset
}
