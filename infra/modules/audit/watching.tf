# Changes that somebody has to know of at once: to rights, keys, logs, the network, the database.

resource "google_logging_metric" "changes" {
  for_each = local.changes

  project     = var.project
  name        = "${var.prefix}/audit/${each.key}"
  description = each.value.what
  filter      = each.value.filter

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "INT64"
    unit         = "1"
    display_name = each.value.what

    labels {
      key         = "who"
      value_type  = "STRING"
      description = "The account that did it."
    }
  }

  label_extractors = {
    who = "EXTRACT(protoPayload.authenticationInfo.principalEmail)"
  }
}

resource "google_monitoring_alert_policy" "changes" {
  for_each = local.changes

  project               = var.project
  display_name          = "Audobon ${var.stage}: ${each.value.what}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.what

    condition_threshold {
      filter          = "resource.type = \"${each.value.resource}\" AND metric.type = \"logging.googleapis.com/user/${google_logging_metric.changes[each.key].name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["metric.label.who"]
      }

      trigger {
        count = 1
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Audobon ${var.stage}: ${each.value.what}"
    content   = "${each.value.what}. If nobody of you did it with `audobon cloud apply`, look into the audit log who did, take the rights back, and rotate what that account could read."
  }

  alert_strategy {
    auto_close = "86400s"
  }
}

locals {
  changes = {
    rights = {
      what     = "Rights in the project were changed"
      severity = "WARNING"
      resource = "global"
      filter   = "protoPayload.methodName=\"SetIamPolicy\" AND protoPayload.serviceData.policyDelta.bindingDeltas:*"
    }
    roles = {
      what     = "A role of our own was changed"
      severity = "WARNING"
      resource = "global"
      filter   = "resource.type=\"iam_role\" AND protoPayload.methodName=(\"google.iam.admin.v1.CreateRole\" OR \"google.iam.admin.v1.UpdateRole\" OR \"google.iam.admin.v1.DeleteRole\")"
    }
    account_keys = {
      what     = "A key file of a service account was made"
      severity = "CRITICAL"
      resource = "global"
      filter   = "protoPayload.methodName=\"google.iam.admin.v1.CreateServiceAccountKey\""
    }
    keys = {
      what     = "A version of an encryption key was disabled or scheduled to be destroyed"
      severity = "CRITICAL"
      resource = "global"
      filter   = "protoPayload.serviceName=\"cloudkms.googleapis.com\" AND protoPayload.methodName=(\"DestroyCryptoKeyVersion\" OR \"UpdateCryptoKeyVersion\" OR \"UpdateCryptoKeyPrimaryVersion\")"
    }
    audit_config = {
      what     = "What is written to the audit log was changed"
      severity = "CRITICAL"
      resource = "global"
      filter   = "protoPayload.methodName=\"SetIamPolicy\" AND protoPayload.serviceData.policyDelta.auditConfigDeltas:*"
    }
    sinks = {
      what     = "Where logs go was changed"
      severity = "CRITICAL"
      resource = "global"
      filter   = "protoPayload.serviceName=\"logging.googleapis.com\" AND protoPayload.methodName=~\"(CreateSink|UpdateSink|DeleteSink|UpdateBucket|DeleteBucket)$\""
    }
    bucket_rights = {
      what     = "Rights to a bucket were changed"
      severity = "WARNING"
      resource = "global"
      filter   = "resource.type=\"gcs_bucket\" AND protoPayload.methodName=\"storage.setIamPermissions\""
    }
    network = {
      what     = "The network, a route or a rule of the firewall was changed"
      severity = "WARNING"
      resource = "global"
      filter   = "resource.type=(\"gce_network\" OR \"gce_route\" OR \"gce_firewall_rule\") AND protoPayload.methodName=~\"(insert|patch|update|delete|addPeering|removePeering)$\""
    }
    database = {
      what     = "The settings of the database were changed"
      severity = "WARNING"
      resource = "global"
      filter   = "protoPayload.serviceName=\"cloudsql.googleapis.com\" AND protoPayload.methodName=(\"cloudsql.instances.update\" OR \"cloudsql.instances.delete\")"
    }
    refused = {
      what     = "A forged or foreign token was shown to the worker service"
      severity = "ERROR"
      resource = "cloud_run_revision"
      filter   = "resource.type=\"cloud_run_revision\" AND jsonPayload.category=\"audit\" AND jsonPayload.event=\"token-refused\""
    }
  }
}
