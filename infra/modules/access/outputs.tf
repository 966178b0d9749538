output "accounts" {
  description = "Addresses of the accounts by name, known once their rights in the project stand."
  value       = { for name, account in google_service_account.this : name => account.email }
  depends_on  = [google_project_iam_member.this]
}

output "account_ids" {
  description = "Full ids of the accounts by name, as builds and triggers want them."
  value       = { for name, account in google_service_account.this : name => account.id }
  depends_on  = [google_service_account_iam_member.acts_as]
}

output "roles" {
  description = "Full names of our own roles, by name."
  value       = { for name, role in google_project_iam_custom_role.this : name => role.name }
}
