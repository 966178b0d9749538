# What PostgreSQL writes down. Statements may name people's data, so of them only those are kept that change tables.

locals {
  flags = merge({
    "cloudsql.iam_authentication"         = "on"
    "cloudsql.enable_pgaudit"             = "on"
    "pgaudit.log"                         = "ddl,role"
    "log_connections"                     = "on"
    "log_disconnections"                  = "on"
    "log_checkpoints"                     = "on"
    "log_lock_waits"                      = "on"
    "log_temp_files"                      = "0"
    "log_hostname"                        = "on"
    "log_duration"                        = "on"
    "log_statement"                       = "ddl"
    "log_min_messages"                    = "error"
    "log_min_error_statement"             = "error"
    "log_min_duration_statement"          = "-1"
    "log_error_verbosity"                 = "default"
    "log_executor_stats"                  = "off"
    "log_parser_stats"                    = "off"
    "log_planner_stats"                   = "off"
    "log_statement_stats"                 = "off"
    "idle_in_transaction_session_timeout" = "600000"
  }, var.flags)
}
