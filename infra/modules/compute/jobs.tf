# What runs by the clock or at a deploy: migrations, backups, their verification, drills, pruning.

resource "google_cloud_run_v2_job" "this" {
  for_each = local.jobs

  project             = var.project
  location            = var.region
  name                = "${var.prefix}-${each.key}"
  deletion_protection = var.is_protected
  labels              = merge(var.labels, { room = each.value.room })

  template {
    task_count  = 1
    parallelism = 1
    labels      = merge(var.labels, { room = each.value.room })

    template {
      service_account       = each.value.account
      timeout               = "${each.value.timeout_seconds}s"
      max_retries           = each.value.max_retries
      encryption_key        = var.kms_key
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      vpc_access {
        egress = "ALL_TRAFFIC"

        network_interfaces {
          network    = var.network
          subnetwork = var.subnetwork
          tags       = [var.worker_tag]
        }
      }

      containers {
        name  = "job"
        image = each.value.image
        args  = each.value.arguments

        resources {
          limits = { cpu = tostring(each.value.cpus), memory = "${each.value.memory_mebibytes}Mi" }
        }

        dynamic "env" {
          for_each = var.environment

          content {
            name  = env.key
            value = env.value
          }
        }
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
      template[0].template[0].containers[0].image,
      client,
      client_version,
    ]
  }
}

resource "google_cloud_scheduler_job" "this" {
  for_each = { for name, job in local.jobs : name => job if job.schedule != null }

  project          = var.project
  region           = var.region
  name             = "${var.prefix}-${each.key}"
  description      = "Runs the job of the same name."
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
    max_backoff_duration = "600s"
    max_doublings        = 3
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.this[each.key].id}:run"

    oauth_token {
      service_account_email = var.accounts["scheduler"]
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  # Before the scheduler may run the job, its first call would fail.
  depends_on = [google_cloud_run_v2_job_iam_member.scheduler]
}

locals {
  jobs = { for name, job in var.jobs : name => merge(job, { image = var.images[job.image_of], account = var.accounts[job.account] }) if contains(keys(var.images), job.image_of) }
}
