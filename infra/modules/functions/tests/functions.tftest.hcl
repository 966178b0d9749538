variables {
  project       = "audobon-sample"
  region        = "us-central1"
  prefix        = "audobon"
  labels        = { app = "audobon" }
  account       = "functions@example.iam.gserviceaccount.com"
  build_account = "projects/audobon-sample/serviceAccounts/builder@example.iam.gserviceaccount.com"
  builder       = "builder@example.iam.gserviceaccount.com"
  source_role   = "projects/audobon-sample/roles/audobon_object_keeper"
  agents        = { storage = "storage@example.iam.gserviceaccount.com" }
  repository    = "projects/audobon-sample/locations/us-central1/repositories/audobon-images"
  kms_key       = "projects/p/locations/l/keyRings/r/cryptoKeys/functions"
  storage_key   = "projects/p/locations/l/keyRings/r/cryptoKeys/storage"
  access_logs   = "audobon-sample-audobon-access-logs"
  sources       = { inspect_upload = "inspect_upload/0.zip", report_lifecycle = "report_lifecycle/0.zip" }
  functions = {
    inspect_upload   = { description = "Looks.", bucket = "audobon-sample-audobon-uploads", memory_mebibytes = 1024, timeout_seconds = 300, max_instances = 10 }
    report_lifecycle = { description = "Tells.", schedule = "7 6 * * *", memory_mebibytes = 512, timeout_seconds = 60, max_instances = 1 }
    stop_placement   = { description = "Stops.", publishers = { billing = "serviceAccount:billing@example.iam.gserviceaccount.com" }, memory_mebibytes = 512, timeout_seconds = 60, max_instances = 1 }
  }
}

run "functions_without_a_source_are_not_made_yet" {
  command = plan

  assert {
    condition     = toset(keys(google_cloudfunctions2_function.this)) == toset(["inspect_upload", "report_lifecycle"])
    error_message = "A function is made without a source, or not made with one."
  }

  assert {
    condition     = toset(keys(output.topics)) == toset(["report_lifecycle", "stop_placement"])
    error_message = "A topic is missing: budgets must have somebody to tell before the function is there."
  }
}

run "each_is_started_by_its_own_event_and_called_from_inside" {
  command = plan

  assert {
    condition     = google_cloudfunctions2_function.this["inspect_upload"].event_trigger[0].event_type == "google.cloud.storage.object.v1.finalized" && one(google_cloudfunctions2_function.this["inspect_upload"].event_trigger[0].event_filters).value == "audobon-sample-audobon-uploads"
    error_message = "Uploads start nothing, or those of another bucket do."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["report_lifecycle"].event_trigger[0].event_type == "google.cloud.pubsub.topic.v1.messagePublished" && google_cloud_scheduler_job.this["report_lifecycle"].schedule == "7 6 * * *"
    error_message = "The clock starts nothing."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : function.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY" && function.event_trigger[0].retry_policy == "RETRY_POLICY_RETRY"])
    error_message = "A function can be called from outside, or loses events that fail."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["inspect_upload"].build_config[0].entry_point == "inspect_upload" && google_cloudfunctions2_function.this["inspect_upload"].name == "audobon-inspect-upload"
    error_message = "A function is not named for what it does."
  }
}

run "only_billing_tells_of_budgets" {
  command = plan

  assert {
    condition     = { for name, grant in google_pubsub_topic_iam_member.publishers : name => grant.member } == { "stop_placement/billing" = "serviceAccount:billing@example.iam.gserviceaccount.com" }
    error_message = "Others may tell of budgets."
  }
}

run "refuses_names_without_a_verb" {
  command = plan

  variables {
    functions = { upload = { description = "Looks.", memory_mebibytes = 512, timeout_seconds = 60, max_instances = 1 } }
    sources   = {}
  }

  expect_failures = [var.functions]
}

run "refuses_everybody_as_a_publisher" {
  command = plan

  variables {
    functions = { stop_placement = { description = "Stops.", publishers = { all = "allUsers" }, memory_mebibytes = 512, timeout_seconds = 60, max_instances = 1 } }
    sources   = {}
  }

  expect_failures = [var.functions]
}
