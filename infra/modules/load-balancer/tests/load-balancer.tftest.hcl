variables {
  project         = "audobon-sample"
  region          = "us-central1"
  prefix          = "audobon"
  labels          = { app = "audobon" }
  domain          = "comics.example.org"
  default_service = "small"
  services        = { small = { service = "audobon-small" }, large = { service = "audobon-large", paths = ["/large/*"] } }
}

run "only_encrypted_and_by_a_guard" {
  command = plan

  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2" && google_compute_ssl_policy.this.profile == "RESTRICTED"
    error_message = "Old or weak encryption would be spoken."
  }

  assert {
    condition     = google_compute_url_map.redirect.default_url_redirect[0].https_redirect
    error_message = "Whoever comes without encryption is served without."
  }

  assert {
    condition     = google_compute_managed_ssl_certificate.this.managed[0].domains == tolist(["comics.example.org"])
    error_message = "The certificate is for another name."
  }

  assert {
    condition     = alltrue([for backend in google_compute_backend_service.this : backend.enable_cdn == false && backend.log_config[0].enable && backend.load_balancing_scheme == "EXTERNAL_MANAGED"])
    error_message = "Answers that depend on a token would be kept for others, or requests are not logged."
  }
}

run "the_guard_knows_attacks_and_counts" {
  command = plan

  assert {
    condition     = length([for rule in google_compute_security_policy.this.rule : rule if rule.action == "deny(403)"]) == 3
    error_message = "The guard does not refuse all attacks that are known."
  }

  assert {
    condition     = length([for rule in google_compute_security_policy.this.rule : rule if rule.action == "rate_based_ban" && one(one(rule.rate_limit_options).rate_limit_threshold).count == 600]) == 1
    error_message = "The guard does not count."
  }

  assert {
    condition     = length([for rule in google_compute_security_policy.this.rule : rule if rule.preview]) == 0
    error_message = "A rule only watches."
  }
}

run "paths_lead_to_their_services" {
  command = plan

  assert {
    condition     = join(" ", flatten([for rule in one(google_compute_url_map.this.path_matcher).path_rule : tolist(rule.paths)])) == "/large/*"
    error_message = "A path leads elsewhere."
  }

  assert {
    condition     = length(google_compute_backend_bucket.delivery) == 0
    error_message = "There is a cache that nobody asked for."
  }
}

run "finished_books_come_from_the_cache_to_whoever_has_a_signed_link" {
  command = plan

  variables {
    delivery = { bucket = "audobon-sample-audobon-delivery", reader = "cdn@example.iam.gserviceaccount.com", has_signing_key = true }
  }

  assert {
    condition     = google_compute_backend_bucket.delivery[0].enable_cdn && google_storage_bucket_iam_member.delivery[0].member == "serviceAccount:cdn@example.iam.gserviceaccount.com"
    error_message = "Books do not come from the cache, or not from it alone."
  }
}

run "before_there_is_a_key_the_cache_reads_nothing" {
  command = plan

  variables {
    delivery = { bucket = "audobon-sample-audobon-delivery", reader = "cdn@example.iam.gserviceaccount.com" }
  }

  assert {
    condition     = length(google_storage_bucket_iam_member.delivery) == 0
    error_message = "A right is given to an identity that does not exist yet."
  }
}

run "refuses_what_is_no_domain" {
  command = plan

  variables {
    domain = "https://comics.example.org/"
  }

  expect_failures = [var.domain]
}

run "refuses_a_door_to_nowhere" {
  command = plan

  variables {
    services = {}
  }

  expect_failures = [var.services]
}
