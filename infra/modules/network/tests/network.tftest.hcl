variables {
  project = "audobon-sample"
  region  = "us-central1"
  prefix  = "audobon"
  labels  = { app = "audobon" }
}

run "nobody_comes_in_and_little_goes_out" {
  command = plan

  assert {
    condition     = google_compute_network.this.auto_create_subnetworks == false
    error_message = "The network has subnetworks that nobody drew."
  }

  assert {
    condition     = length(google_compute_firewall.refuse_in.deny) == 1 && length(google_compute_firewall.refuse_in.allow) == 0
    error_message = "Somebody could come in."
  }

  assert {
    condition     = google_compute_firewall.refuse_out.direction == "EGRESS" && google_compute_firewall.refuse_out.priority > google_compute_firewall.https.priority
    error_message = "What no rule allows could leave, or what a rule allows could not."
  }

  assert {
    condition     = google_compute_firewall.https.target_tags == toset(["audobon-worker"]) && output.worker_tag == "audobon-worker"
    error_message = "Others than workers reach the outside."
  }

  assert {
    condition     = google_compute_subnetwork.workers.log_config[0].flow_sampling == 0.5 && google_compute_subnetwork.workers.private_ip_google_access
    error_message = "Flows are not logged, or Google is not reached from inside."
  }
}

run "the_database_range_is_ours_to_name" {
  command = plan

  variables {
    services_range = "10.99.0.0/20"
  }

  assert {
    condition     = google_compute_global_address.services.address == "10.99.0.0" && google_compute_global_address.services.prefix_length == 20
    error_message = "Google's services get other addresses."
  }

  assert {
    condition     = google_compute_firewall.database.destination_ranges == toset(["10.99.0.0/20"])
    error_message = "The firewall lets workers to other addresses than the database's."
  }
}

run "without_functions_no_connector_is_paid_for" {
  command = plan

  assert {
    condition     = length(google_vpc_access_connector.functions) == 0 && output.connector == null
    error_message = "There is a connector that nobody asked for."
  }
}

run "with_functions_there_is_one" {
  command = plan

  variables {
    connector = {}
  }

  assert {
    condition     = google_vpc_access_connector.functions[0].ip_cidr_range == "10.40.1.0/28" && google_vpc_access_connector.functions[0].max_instances == 3
    error_message = "The connector is not as small as can be."
  }
}

run "refuses_a_range_too_small_for_cloud_run" {
  command = plan

  variables {
    workers_range = "10.40.0.0/28"
  }

  expect_failures = [var.workers_range]
}

run "refuses_a_connector_without_bounds" {
  command = plan

  variables {
    connector = { max_instances = 50 }
  }

  expect_failures = [var.connector]
}
