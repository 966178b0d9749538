run "plans" {
  command = plan

  assert {
    condition     = google_storage_bucket.pages.name == "sample-pages"
    error_message = "The bucket has another name."
  }
}

run "refuses_more_than_all" {
  command = plan

  variables {
    percent = 101
  }

  expect_failures = [var.percent]
}

run "applies_in_effigy" {
  command = apply

  assert {
    condition     = google_storage_bucket.pages.encryption[0].default_kms_key_name == output.key
    error_message = "The bucket is encrypted with another key."
  }
}
