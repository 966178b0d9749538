variables {
  project        = "audobon-sample"
  project_number = "123456"
  region         = "us-central1"
  prefix         = "audobon"
  labels         = { app = "audobon" }
  images = {
    small = "us-central1-docker.pkg.dev/p/r/worker-small@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    gpu   = "us-central1-docker.pkg.dev/p/r/worker-gpu@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  }
  services = {
    small = { description = "Small.", arguments = ["cloud", "serve"], cpus = 2, memory_mebibytes = 4096, scratch_mebibytes = 512, concurrency = 1, min_instances = 0, max_instances = 4, timeout_seconds = 1800 }
    large = { description = "Large.", arguments = ["cloud", "serve"], cpus = 8, memory_mebibytes = 16384, scratch_mebibytes = 512, concurrency = 1, min_instances = 0, max_instances = 2, timeout_seconds = 1800 }
    gpu   = { description = "GPU.", arguments = ["cloud", "serve"], cpus = 4, memory_mebibytes = 16384, scratch_mebibytes = 512, gpu = "nvidia-l4", concurrency = 1, min_instances = 0, max_instances = 1, timeout_seconds = 1800 }
  }
  pools = {
    dispatcher = { description = "Releases.", image_of = "small", account = "dispatcher", arguments = ["cloud", "dispatch"], cpus = 1, memory_mebibytes = 1024, scratch_mebibytes = 64, instances = 1 }
  }
  jobs = {
    backup  = { room = "backup", image_of = "small", account = "backup-writer", arguments = ["backup", "now"], schedule = "17 1 * * *", cpus = 2, memory_mebibytes = 4096, timeout_seconds = 3600, max_retries = 1 }
    migrate = { room = "database", image_of = "small", account = "migrator", arguments = ["database", "migrate"], cpus = 1, memory_mebibytes = 1024, timeout_seconds = 3600, max_retries = 0 }
  }
  accounts = {
    backup-writer = "writer@example.iam.gserviceaccount.com"
    deployer      = "deployer@example.iam.gserviceaccount.com"
    dispatcher    = "dispatcher@example.iam.gserviceaccount.com"
    migrator      = "migrator@example.iam.gserviceaccount.com"
    scheduler     = "scheduler@example.iam.gserviceaccount.com"
  }
  worker_account = "worker@example.iam.gserviceaccount.com"
  callers        = { invoker = "invoker@example.iam.gserviceaccount.com" }
  deployer_role  = "projects/audobon-sample/roles/audobon_deployer"
  environment    = { AUDOBON_CLOUD_PROJECT = "audobon-sample" }
  network        = "projects/p/global/networks/audobon"
  subnetwork     = "projects/p/regions/us-central1/subnetworks/audobon"
  worker_tag     = "audobon-worker"
  kms_key        = "projects/p/locations/l/keyRings/r/cryptoKeys/compute"
}

run "sizes_without_an_image_are_not_made_yet" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_run_v2_service.this)) == toset(["gpu", "small"])
    error_message = "A service is made without an image, or not made with one."
  }
}

run "only_cloud_tasks_calls_and_only_from_inside" {
  command = plan

  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.this : service.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" && service.invoker_iam_disabled == false])
    error_message = "Somebody outside could call a service."
  }

  assert {
    condition     = { for name, grant in google_cloud_run_v2_service_iam_member.callers : name => grant.member } == { for name in ["gpu/invoker", "small/invoker"] : name => "serviceAccount:invoker@example.iam.gserviceaccount.com" }
    error_message = "Others than Cloud Tasks' account may call."
  }

  assert {
    condition     = google_cloud_run_v2_service.this["small"].template[0].vpc_access[0].egress == "ALL_TRAFFIC" && google_cloud_run_v2_service.this["small"].template[0].vpc_access[0].network_interfaces[0].tags == tolist(["audobon-worker"])
    error_message = "A worker goes out another way than through the firewall."
  }
}

run "sizes_are_as_asked_for" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this["gpu"].template[0].node_selector[0].accelerator == "nvidia-l4" && google_cloud_run_v2_service.this["gpu"].template[0].containers[0].resources[0].limits == tomap({ cpu = "4", memory = "16384Mi", "nvidia.com/gpu" = "1" })
    error_message = "The size with a graphics card has none."
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this["small"].template[0].node_selector) == 0 && google_cloud_run_v2_service.this["small"].template[0].scaling[0].max_instance_count == 4 && google_cloud_run_v2_service.this["small"].template[0].timeout == "1800s"
    error_message = "The small size is another."
  }

  assert {
    condition     = output.addresses["small"] == "https://audobon-small-123456.us-central1.run.app" && contains([for variable in google_cloud_run_v2_service.this["small"].template[0].containers[0].env : "${variable.name}=${variable.value}"], "AUDOBON_CLOUD_SERVICE_URL=https://audobon-small-123456.us-central1.run.app")
    error_message = "A service does not know the address that tokens are made for."
  }
}

run "jobs_run_by_the_clock_as_their_own_accounts" {
  command = plan

  assert {
    condition     = keys(google_cloud_scheduler_job.this) == ["backup"] && google_cloud_scheduler_job.this["backup"].schedule == "17 1 * * *" && google_cloud_scheduler_job.this["backup"].time_zone == "Etc/UTC"
    error_message = "The clock starts other jobs, or at another time."
  }

  assert {
    condition     = google_cloud_run_v2_job.this["backup"].template[0].template[0].service_account == "writer@example.iam.gserviceaccount.com" && google_cloud_run_v2_job.this["migrate"].template[0].template[0].max_retries == 0
    error_message = "A job runs as another account, or a migration is run again by itself."
  }

  assert {
    condition     = google_cloud_run_v2_worker_pool.this["dispatcher"].template[0].service_account == "dispatcher@example.iam.gserviceaccount.com" && google_cloud_run_v2_worker_pool.this["dispatcher"].scaling[0].manual_instance_count == 1
    error_message = "The dispatcher is another, or there are several."
  }
}

run "refuses_an_image_by_its_tag" {
  command = plan

  variables {
    images = { small = "us-central1-docker.pkg.dev/p/r/worker-small:latest" }
  }

  expect_failures = [var.images]
}

run "refuses_a_call_longer_than_cloud_tasks_waits" {
  command = plan

  variables {
    services = { small = { description = "Small.", arguments = [], cpus = 2, memory_mebibytes = 4096, scratch_mebibytes = 512, concurrency = 1, min_instances = 0, max_instances = 4, timeout_seconds = 3600 } }
    pools    = {}
    jobs     = {}
  }

  expect_failures = [var.services]
}

run "refuses_secrets_in_the_environment" {
  command = plan

  variables {
    environment = { AUDOBON_KEYS_PASSPHRASE = "open sesame" }
  }

  expect_failures = [var.environment]
}

run "refuses_everybody_as_a_caller" {
  command = plan

  variables {
    callers = { all = "allUsers" }
  }

  expect_failures = [var.callers]
}
