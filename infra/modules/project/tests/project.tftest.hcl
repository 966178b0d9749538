variables {
  project = "audobon-sample"
  stage   = "production"
  apis    = ["run.googleapis.com", "sqladmin.googleapis.com"]
  labels  = { team = "comics" }
}

run "switches_the_apis_on_and_leaves_them_on" {
  command = plan

  assert {
    condition     = toset(keys(google_project_service.this)) == toset(["run.googleapis.com", "sqladmin.googleapis.com"])
    error_message = "Other APIs are switched on than were asked for."
  }

  assert {
    condition     = alltrue([for api in google_project_service.this : api.disable_on_destroy == false])
    error_message = "An API would be taken from its other users."
  }
}

run "labels_tell_the_stage" {
  command = plan

  assert {
    condition     = jsonencode(output.labels) == jsonencode({ app = "audobon", managed_by = "terraform", stage = "production", team = "comics" })
    error_message = "The labels are not those asked for and ours."
  }
}

run "refuses_a_stage_that_is_none" {
  command = plan

  variables {
    stage = "prod"
  }

  expect_failures = [var.stage]
}

run "refuses_what_is_no_project" {
  command = plan

  variables {
    project = "My Project"
  }

  expect_failures = [var.project]
}

run "refuses_labels_that_google_refuses" {
  command = plan

  variables {
    labels = { Team = "comics" }
  }

  expect_failures = [var.labels]
}
