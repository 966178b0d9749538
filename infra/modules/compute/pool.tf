# Workers for what takes longer than a call may: they take tasks from the database by themselves.

resource "google_cloud_run_v2_worker_pool" "this" {
  for_each = local.pools

  project             = var.project
  location            = var.region
  name                = "${var.prefix}-${each.key}"
  description         = each.value.description
  deletion_protection = var.is_protected
  labels              = merge(var.labels, { room = "compute" })

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = each.value.instances
  }

  template {
    service_account               = each.value.account
    encryption_key                = var.kms_key
    gpu_zonal_redundancy_disabled = each.value.gpu == null ? null : true
    labels                        = merge(var.labels, { room = "compute" })

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

      resources {
        limits = merge(
          { cpu = tostring(each.value.cpus), memory = "${each.value.memory_mebibytes}Mi" },
          each.value.gpu == null ? {} : { "nvidia.com/gpu" = "1" },
        )
      }

      dynamic "env" {
        for_each = var.environment

        content {
          name  = env.key
          value = env.value
        }
      }

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

  lifecycle {
    ignore_changes = [
      template[0].containers[0].image,
      template[0].revision,
      client,
      client_version,
    ]
  }
}

locals {
  pools = { for name, pool in var.pools : name => merge(pool, { image = var.images[pool.image_of], account = var.accounts[pool.account] }) if contains(keys(var.images), pool.image_of) }
}
