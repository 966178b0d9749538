# One PostgreSQL instance: reached from inside alone, logged in to by identity, restorable to any second of some days.

resource "google_sql_database_instance" "this" {
  project             = var.project
  name                = var.name
  region              = var.region
  database_version    = var.version_name
  encryption_key_name = var.kms_key

  # Terraform itself refuses to destroy it; the setting below has Google refuse everybody.
  deletion_protection = var.is_protected

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.availability_type
    disk_type                   = "PD_SSD"
    disk_size                   = var.disk_gigabytes
    disk_autoresize             = true
    disk_autoresize_limit       = var.most_disk_gigabytes
    deletion_protection_enabled = var.is_protected
    retain_backups_on_delete    = var.is_protected
    connector_enforcement       = "REQUIRED"
    user_labels                 = var.labels

    ip_configuration {
      ipv4_enabled       = false
      private_network    = var.private_network
      allocated_ip_range = var.services_range
      ssl_mode           = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    }

    # Left out, a database made by the API or by Terraform cannot be restored to an instant.
    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      start_time                     = var.backup_time
      location                       = var.backup_location
      transaction_log_retention_days = var.recovery_days

      backup_retention_settings {
        retained_backups = var.backups_kept
        retention_unit   = "COUNT"
      }
    }

    maintenance_window {
      day          = 7
      hour         = 4
      update_track = "stable"
    }

    insights_config {
      query_insights_enabled  = true
      query_plans_per_minute  = 5
      query_string_length     = 1024
      record_application_tags = true
      record_client_address   = false
    }

    password_validation_policy {
      enable_password_policy      = true
      min_length                  = 20
      complexity                  = "COMPLEXITY_DEFAULT"
      disallow_username_substring = true
    }

    # What PostgreSQL writes down. Statements may name people's data, so of them only those are kept that change tables.
    database_flags {
      name  = "cloudsql.iam_authentication"
      value = "on"
    }

    database_flags {
      name  = "cloudsql.enable_pgaudit"
      value = "on"
    }

    database_flags {
      name  = "pgaudit.log"
      value = "ddl,role"
    }

    database_flags {
      name  = "log_connections"
      value = "on"
    }

    database_flags {
      name  = "log_disconnections"
      value = "on"
    }

    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }

    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }

    database_flags {
      name  = "log_temp_files"
      value = "0"
    }

    database_flags {
      name  = "log_hostname"
      value = "on"
    }

    database_flags {
      name  = "log_duration"
      value = "on"
    }

    database_flags {
      name  = "log_statement"
      value = "ddl"
    }

    database_flags {
      name  = "log_min_messages"
      value = "error"
    }

    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }

    database_flags {
      name  = "log_min_duration_statement"
      value = "-1"
    }

    database_flags {
      name  = "log_error_verbosity"
      value = "default"
    }

    database_flags {
      name  = "log_executor_stats"
      value = "off"
    }

    database_flags {
      name  = "log_parser_stats"
      value = "off"
    }

    database_flags {
      name  = "log_planner_stats"
      value = "off"
    }

    database_flags {
      name  = "log_statement_stats"
      value = "off"
    }

    database_flags {
      name  = "idle_in_transaction_session_timeout"
      value = "600000"
    }
  }

  # It grows by itself; planning it back would be refused.
  lifecycle {
    ignore_changes = [settings[0].disk_size]
  }

  timeouts {
    create = "60m"
    update = "60m"
    delete = "60m"
  }
}

resource "google_sql_database" "audobon" {
  project         = var.project
  instance        = google_sql_database_instance.this.name
  name            = "audobon"
  charset         = "UTF8"
  collation       = "en_US.UTF8"
  deletion_policy = "ABANDON"
}

# No passwords: an account shows its identity, and the database checks it with Google.
resource "google_sql_user" "accounts" {
  for_each = var.accounts

  project  = var.project
  instance = google_sql_database_instance.this.name
  name     = trimsuffix(each.value, ".gserviceaccount.com")
  type     = "CLOUD_IAM_SERVICE_ACCOUNT"
}
