variables {
  project         = "audobon-sample"
  project_number  = "123456"
  region          = "us-central1"
  prefix          = "audobon"
  stage           = "production"
  labels          = { app = "audobon" }
  billing_account = "012345-6789AB-CDEF01"
  budgets         = { month = { amount = 500 }, compute = { amount = 300, room = "compute" } }
  thresholds      = [0.5, 0.9, 1]
  topic           = "projects/audobon-sample/topics/audobon-stop-placement"
  channels        = ["projects/audobon-sample/notificationChannels/1"]
  contact         = "operators@example.org"
  kms_key         = "projects/p/locations/l/keyRings/r/cryptoKeys/billing"
  quotas          = { gpus = { service = "run.googleapis.com", quota = "Gpus", dimensions = { region = "us-central1" }, value = 2 } }
}

run "budgets_tell_early_and_look_ahead" {
  command = plan

  assert {
    condition     = [for rule in google_billing_budget.this["month"].threshold_rules : "${rule.threshold_percent} ${rule.spend_basis}"] == ["0.5 CURRENT_SPEND", "0.9 CURRENT_SPEND", "1 CURRENT_SPEND", "1 FORECASTED_SPEND"]
    error_message = "A budget tells too late, or of the past alone."
  }

  assert {
    condition     = google_billing_budget.this["month"].amount[0].specified_amount[0].units == "500" && google_billing_budget.this["compute"].budget_filter[0].labels == tomap({ room = "compute" })
    error_message = "A budget is of another amount, or of something else."
  }

  assert {
    condition     = alltrue([for budget in google_billing_budget.this : budget.all_updates_rule[0].pubsub_topic == "projects/audobon-sample/topics/audobon-stop-placement"])
    error_message = "A budget that is used up stops nothing."
  }
}

run "quotas_bound_what_goes_wrong_elsewhere" {
  command = plan

  assert {
    condition     = google_cloud_quotas_quota_preference.this["gpus"].quota_config[0].preferred_value == "2"
    error_message = "More cards could be had than the stage wants."
  }
}

run "without_a_billing_account_there_are_no_budgets_but_figures" {
  command = plan

  variables {
    billing_account = null
  }

  assert {
    condition     = length(google_billing_budget.this) == 0 && google_bigquery_dataset.billing.dataset_id == "audobon_billing"
    error_message = "The figures depend on the right to set budgets."
  }
}

run "refuses_a_budget_that_never_tells_that_it_is_gone" {
  command = plan

  variables {
    thresholds = [0.5]
  }

  expect_failures = [var.thresholds]
}

run "refuses_no_budget" {
  command = plan

  variables {
    budgets = {}
  }

  expect_failures = [var.budgets]
}
