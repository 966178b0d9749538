# Small work that an event starts: an upload, an hour of the day, a budget that is used up, a task that was given up.
#
# The source is the same package that runs everywhere else; a build puts it into the bucket here, named by its digest.

resource "google_cloudfunctions2_function" "this" {
  for_each = local.functions

  project      = var.project
  location     = var.region
  name         = "${var.prefix}-${replace(each.key, "_", "-")}"
  description  = each.value.description
  kms_key_name = var.kms_key
  labels       = merge(var.labels, { room = "functions" })

  build_config {
    runtime           = "python312"
    entry_point       = each.key
    docker_repository = var.repository
    service_account   = var.build_account

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = each.value.source
      }
    }

    automatic_update_policy {}
  }

  service_config {
    service_account_email            = var.account
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true
    available_cpu                    = tostring(each.value.cpus)
    available_memory                 = "${each.value.memory_mebibytes}Mi"
    timeout_seconds                  = each.value.timeout_seconds
    min_instance_count               = 0
    max_instance_count               = each.value.max_instances
    max_instance_request_concurrency = 1
    vpc_connector                    = var.connector
    vpc_connector_egress_settings    = var.connector == null ? null : "PRIVATE_RANGES_ONLY"
    environment_variables            = var.environment
  }

  # Events come at least once, and again while they fail: each is known by its id, so that a second does no harm.
  event_trigger {
    trigger_region        = var.region
    event_type            = each.value.bucket == null ? "google.cloud.pubsub.topic.v1.messagePublished" : "google.cloud.storage.object.v1.finalized"
    pubsub_topic          = each.value.bucket == null ? google_pubsub_topic.this[each.key].id : null
    retry_policy          = "RETRY_POLICY_RETRY"
    service_account_email = var.account

    dynamic "event_filters" {
      for_each = each.value.bucket == null ? [] : [each.value.bucket]

      content {
        attribute = "bucket"
        value     = event_filters.value
      }
    }
  }

  depends_on = [google_project_iam_member.receiver, google_project_iam_member.storage_publishes, google_pubsub_topic_iam_member.publishers]
}

locals {
  functions = { for name, function in var.functions : name => merge(function, { source = var.sources[name] }) if contains(keys(var.sources), name) }
  topics    = { for name, function in var.functions : name => function if function.bucket == null }
}
