output "dataset" {
  description = "Full name of the dataset that the export of the bill is to be switched on for."
  value       = google_bigquery_dataset.billing.id
}

output "budgets" {
  description = "Ids of the budgets, by name."
  value       = { for name, budget in google_billing_budget.this : name => budget.id }
}
