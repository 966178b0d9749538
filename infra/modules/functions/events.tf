# The topics that events come by, and the clock that sends some of them.

resource "google_pubsub_topic" "this" {
  for_each = local.topics

  project                    = var.project
  name                       = "${var.prefix}-${replace(each.key, "_", "-")}"
  kms_key_name               = var.kms_key
  message_retention_duration = "604800s"
  labels                     = merge(var.labels, { room = "functions" })

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = merge([
    for name, function in local.topics : {
      for publisher, member in function.publishers : "${name}/${publisher}" => { topic = name, member = member }
    }
  ]...)

  project = var.project
  topic   = google_pubsub_topic.this[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = each.value.member
}

resource "google_cloud_scheduler_job" "this" {
  for_each = { for name, function in local.topics : name => function if function.schedule != null }

  project     = var.project
  region      = var.region
  name        = "${var.prefix}-${replace(each.key, "_", "-")}"
  description = "Starts the function of the same name."
  schedule    = each.value.schedule
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.this[each.key].id
    data       = base64encode(jsonencode({ reason = "schedule" }))
  }

  retry_config {
    retry_count = 3
  }
}

# Eventarc hands events on as the account of the functions.
resource "google_project_iam_member" "receiver" {
  project = var.project
  role    = "roles/eventarc.eventReceiver"
  member  = "serviceAccount:${var.account}"
}

# Cloud Storage tells of uploads through a topic that Eventarc makes: it has no name of ours to give the right for.
resource "google_project_iam_member" "storage_publishes" {
  project = var.project
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${var.agents["storage"]}"
}

# A function is a service of Cloud Run underneath, and is called as one.
resource "google_cloud_run_v2_service_iam_member" "receiver" {
  for_each = google_cloudfunctions2_function.this

  project  = var.project
  location = var.region
  name     = each.value.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.account}"
}
