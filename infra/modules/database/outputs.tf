output "instance" {
  description = "Name of the instance."
  value       = google_sql_database_instance.this.name
}

output "connection_name" {
  description = "PROJECT:REGION:INSTANCE, as connectors want it; the setting cloud.database."
  value       = google_sql_database_instance.this.connection_name
}

output "database" {
  description = "Name of the database in it."
  value       = google_sql_database.audobon.name
}

output "users" {
  description = "The names that accounts log in by."
  value       = { for name, user in google_sql_user.accounts : name => user.name }
}
