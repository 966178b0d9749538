variables {
  project   = "audobon-sample"
  addresses = { operators = "operators@example.org" }
  settings  = jsondecode(file("../../stages/development/settings.auto.tfvars.json")).settings
}

run "a_stage_begins_without_images_domain_and_billing" {
  command = plan

  assert {
    condition     = output.address == null && length(output.services) == 0 && length(module.load_balancer) == 0
    error_message = "A first apply would need what is only made later."
  }

  assert {
    condition     = output.settings.bucket == "audobon-sample-audobon-blobs" && output.settings.tasks_queue_prefix == "audobon"
    error_message = "The engine would look for it elsewhere."
  }
}

run "with_a_domain_and_an_image_there_is_a_door" {
  command = plan

  variables {
    domain = "comics.example.org"
    images = { small = "us-central1-docker.pkg.dev/p/r/worker-small@sha256:0000000000000000000000000000000000000000000000000000000000000000" }
  }

  assert {
    condition     = length(module.load_balancer) == 1
    error_message = "There is no door."
  }
}
