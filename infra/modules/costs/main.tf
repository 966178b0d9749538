# What may be spent: budgets that tell early, figures to ask afterwards, and quotas that cannot be passed.
#
# A budget only tells, hours late. What cannot be passed is max_instances, the quota of GPUs, and Audobon's own ledger.

resource "google_billing_budget" "this" {
  for_each = var.billing_account == null ? {} : var.budgets

  billing_account = var.billing_account
  display_name    = "Audobon ${var.stage}: ${each.key}"

  budget_filter {
    projects               = ["projects/${var.project_number}"]
    calendar_period        = "MONTH"
    credit_types_treatment = "INCLUDE_ALL_CREDITS"
    labels                 = each.value.room == null ? null : { room = each.value.room }
  }

  amount {
    specified_amount {
      currency_code = var.currency
      units         = tostring(each.value.amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = var.thresholds

    content {
      threshold_percent = threshold_rules.value
      spend_basis       = "CURRENT_SPEND"
    }
  }

  # Before the money is gone: when the month will end above it as things go.
  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    pubsub_topic                     = var.topic
    schema_version                   = "1.0"
    monitoring_notification_channels = var.channels
    disable_default_iam_recipients   = false
  }
}

# The bill, line by line. The export into it is switched on by hand: Google has no API for that.
resource "google_bigquery_dataset" "billing" {
  project                    = var.project
  dataset_id                 = "${replace(var.prefix, "-", "_")}_billing"
  friendly_name              = "Audobon: what was billed"
  description                = "Google's export of the bill (standard, detailed, prices) lands here."
  location                   = var.region
  delete_contents_on_destroy = false
  max_time_travel_hours      = "168"
  labels                     = merge(var.labels, { room = "costs" })

  default_encryption_configuration {
    kms_key_name = var.kms_key
  }
}

resource "google_bigquery_dataset_iam_member" "readers" {
  for_each = var.readers

  project    = var.project
  dataset_id = google_bigquery_dataset.billing.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = each.value
}

# The last bound: so much, and not more, whatever goes wrong elsewhere.
resource "google_cloud_quotas_quota_preference" "this" {
  for_each = var.quotas

  parent        = "projects/${var.project}"
  name          = "${var.prefix}-${each.key}"
  service       = each.value.service
  quota_id      = each.value.quota
  dimensions    = each.value.dimensions
  contact_email = var.contact
  justification = "Audobon's own bound"

  quota_config {
    preferred_value = tostring(each.value.value)
  }

  # Google may be asked for less than there is only on purpose.
  ignore_safety_checks = "QUOTA_DECREASE_PERCENTAGE_TOO_HIGH"
}
