output "settings" {
  description = "What goes into the section [cloud] of audobon.toml, so that the engine finds what is here."
  value = {
    project            = var.project
    region             = local.region
    second_region      = var.settings.second_region
    bucket             = module.storage.buckets["blobs"]
    backup_bucket      = module.storage.buckets["backup"]
    kms_key            = module.keys.keys["keyring"]
    tasks_queue_prefix = local.prefix
    service_url        = lookup(module.compute.addresses, var.settings.default_service, "")
    service_account    = module.access.accounts["invoker"]
    database_instance  = module.database.connection_name
  }
}

output "address" {
  description = "What the domain's A record has to name; null while there is no load balancer."
  value       = one(module.load_balancer[*].address)
}

output "repository_url" {
  description = "Where builds push images to."
  value       = module.build.repository_url
}

output "source_bucket" {
  description = "Where builds put the packed source of functions."
  value       = module.functions.source_bucket
}

output "accounts" {
  description = "Addresses of the service accounts, by duty."
  value       = module.access.accounts
}

output "services" {
  description = "Addresses of the worker services, by size."
  value       = module.compute.addresses
}

output "queues" {
  description = "Full names of the queues."
  value       = module.queue.queues
}

output "billing_dataset" {
  description = "The dataset that the export of the bill is to be switched on for, by hand."
  value       = module.costs.dataset
}
