# The worker service in its sizes. Cloud Tasks calls it; nobody from outside can.

resource "google_cloud_run_v2_service" "this" {
  for_each = local.services

  project              = var.project
  location             = var.region
  name                 = "${var.prefix}-${each.key}"
  description          = each.value.description
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  invoker_iam_disabled = false
  custom_audiences     = var.audiences
  deletion_protection  = var.is_protected
  labels               = merge(var.labels, { room = "compute" })

  template {
    service_account                  = var.worker_account
    timeout                          = "${each.value.timeout_seconds}s"
    max_instance_request_concurrency = each.value.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key                   = var.kms_key
    session_affinity                 = false
    gpu_zonal_redundancy_disabled    = each.value.gpu == null ? null : true
    labels                           = merge(var.labels, { room = "compute" })

    scaling {
      min_instance_count = each.value.min_instances
      max_instance_count = each.value.max_instances
    }

    dynamic "node_selector" {
      for_each = each.value.gpu == null ? [] : [each.value.gpu]

      content {
        accelerator = node_selector.value
      }
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = var.network
        subnetwork = var.subnetwork
        tags       = [var.worker_tag]
      }
    }

    containers {
      name  = "worker"
      image = each.value.image
      args  = each.value.arguments

      ports {
        name           = "http1"
        container_port = 8080
      }

      resources {
        limits = merge(
          { cpu = tostring(each.value.cpus), memory = "${each.value.memory_mebibytes}Mi" },
          each.value.gpu == null ? {} : { "nvidia.com/gpu" = "1" },
        )
        # A worker beats while it works, and works on when the call that began it is over.
        cpu_idle          = false
        startup_cpu_boost = each.value.gpu == null
      }

      dynamic "env" {
        for_each = merge(var.environment, {
          AUDOBON_CLOUD_SERVICE_URL = local.addresses[each.key]
          AUDOBON_COMPUTE_WORKERS   = tostring(each.value.concurrency)
        })

        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        initial_delay_seconds = 0
        period_seconds        = 1
        timeout_seconds       = 1
        failure_threshold     = 240

        http_get {
          path = "/ready"
          port = 8080
        }
      }

      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/health"
          port = 8080
        }
      }

      # The file system is read-only but for this, which counts as memory.
      volume_mounts {
        name       = "scratch"
        mount_path = "/tmp"
      }
    }

    volumes {
      name = "scratch"

      empty_dir {
        medium     = "MEMORY"
        size_limit = "${each.value.scratch_mebibytes}Mi"
      }
    }
  }

  dynamic "binary_authorization" {
    for_each = var.takes_signed_images_only ? [true] : []

    content {
      use_default = true
    }
  }

  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
  }

  # Which image runs, and which share of calls it gets, is the deployer's to say.
  lifecycle {
    ignore_changes = [
      template[0].containers[0].image,
      template[0].revision,
      traffic,
      client,
      client_version,
    ]
  }
}

locals {
  # The address that Cloud Run gives by a rule: known before the service is, which checks that tokens are for it.
  addresses = { for name in keys(var.services) : name => "https://${var.prefix}-${name}-${var.project_number}.${var.region}.run.app" }

  services = { for name, service in var.services : name => merge(service, { image = var.images[name] }) if contains(keys(var.images), name) }
}
