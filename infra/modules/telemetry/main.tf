# Who is told, and by what it is noticed from outside that the service is there.

resource "google_monitoring_notification_channel" "people" {
  for_each = var.addresses

  project      = var.project
  display_name = "Audobon ${var.stage}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.value }
  user_labels  = var.labels
  force_delete = false
}

resource "google_monitoring_uptime_check_config" "this" {
  count = var.domain == null ? 0 : 1

  project          = var.project
  display_name     = "Audobon ${var.stage}: the door"
  timeout          = "10s"
  period           = "60s"
  checker_type     = "STATIC_IP_CHECKERS"
  selected_regions = ["USA", "EUROPE", "ASIA_PACIFIC"]
  user_labels      = var.labels

  http_check {
    path         = "/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true

    accepted_response_status_codes {
      status_class = "STATUS_CLASS_2XX"
    }

    # The service lets nobody in without a token; Google's checker brings one of its own.
    service_agent_authentication {
      type = "OIDC_TOKEN"
    }
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = var.domain
    }
  }

  content_matchers {
    content = "ok"
    matcher = "CONTAINS_STRING"
  }
}

locals {
  channels = [for channel in google_monitoring_notification_channel.people : channel.id]
}
