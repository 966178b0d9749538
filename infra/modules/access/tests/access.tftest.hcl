variables {
  project           = "audobon-sample"
  prefix            = "audobon"
  database_instance = "audobon-database"
  accounts = {
    worker     = { duty = "Works.", project_roles = ["roles/cloudsql.client", "roles/logging.logWriter"] }
    dispatcher = { duty = "Dispatches.", project_roles = ["own:queue_lister"], acts_as = ["invoker"] }
    invoker    = { duty = "Calls." }
  }
  roles = {
    queue_lister = { title = "lists queues", description = "Sees which queues there are.", permissions = ["cloudtasks.queues.list"] }
  }
}

run "one_account_for_each_duty" {
  command = plan

  assert {
    condition     = { for name, account in google_service_account.this : name => account.account_id } == { worker = "audobon-worker", dispatcher = "audobon-dispatcher", invoker = "audobon-invoker" }
    error_message = "The accounts are not those of the duties."
  }

  assert {
    condition     = toset(keys(google_project_iam_member.this)) == toset(["worker/roles/cloudsql.client", "worker/roles/logging.logWriter", "dispatcher/own:queue_lister"])
    error_message = "An account has a right in the project that its duty does not name."
  }

  assert {
    condition     = keys(google_service_account_iam_member.acts_as) == ["dispatcher/invoker"]
    error_message = "An account may act as another that it has no business with."
  }
}

run "rights_to_databases_are_for_ours_alone" {
  command = plan

  assert {
    condition     = google_project_iam_member.this["worker/roles/cloudsql.client"].condition[0].expression == "resource.name == \"projects/audobon-sample/instances/audobon-database\" && resource.service == \"sqladmin.googleapis.com\""
    error_message = "The worker may reach other databases too."
  }

  assert {
    condition     = length(google_project_iam_member.this["worker/roles/logging.logWriter"].condition) == 0
    error_message = "Writing logs has a condition that only databases know."
  }
}

run "names_of_roles_have_no_hyphens" {
  command = plan

  variables {
    prefix = "comic-app"
  }

  assert {
    condition     = google_project_iam_custom_role.this["queue_lister"].role_id == "comic_app_queue_lister"
    error_message = "Google takes no hyphens in the name of a role."
  }
}

run "the_integration_outside_is_let_in_by_its_repository" {
  command = plan

  variables {
    federated = { worker = "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/attribute.repository/owner/name" }
  }

  assert {
    condition     = google_service_account_iam_member.federated["worker"].role == "roles/iam.workloadIdentityUser"
    error_message = "The identity outside has another right."
  }
}

run "refuses_a_whole_pool" {
  command = plan

  variables {
    federated = { worker = "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/*" }
  }

  expect_failures = [var.federated]
}

run "refuses_owners_and_those_who_act_as_all" {
  command = plan

  variables {
    accounts = { worker = { duty = "Works.", project_roles = ["roles/editor"] } }
  }

  expect_failures = [var.accounts]
}

run "refuses_roles_that_give_rights_away" {
  command = plan

  variables {
    roles = { giver = { title = "gives", description = "Gives.", permissions = ["storage.buckets.setIamPolicy"] }, queue_lister = { title = "lists", description = "Lists.", permissions = ["cloudtasks.queues.list"] } }
  }

  expect_failures = [var.roles]
}

run "refuses_a_prefix_that_names_would_burst_with" {
  command = plan

  variables {
    prefix = "a-very-long-prefix"
  }

  expect_failures = [var.prefix]
}
