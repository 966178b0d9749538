# One ring in each place where something is encrypted, and in it one key for each kind of data.

resource "google_kms_key_ring" "this" {
  for_each = local.locations

  project  = var.project
  name     = "${var.prefix}-${each.value}"
  location = each.value
}

resource "google_kms_crypto_key" "this" {
  for_each = var.keys

  name                          = "${var.prefix}-${each.key}"
  key_ring                      = google_kms_key_ring.this[each.value.location].id
  purpose                       = "ENCRYPT_DECRYPT"
  rotation_period               = "7776000s" # 90 days
  destroy_scheduled_duration    = "${var.destroy_days * local.day_seconds}s"
  skip_initial_version_creation = false
  labels                        = var.labels

  version_template {
    algorithm        = "GOOGLE_SYMMETRIC_ENCRYPTION"
    protection_level = each.value.protection_level
  }

  # Without its key, what was encrypted is noise; and Google never gives the name of a key again.
  lifecycle {
    prevent_destroy = true
  }
}

locals {
  day_seconds = 24 * 60 * 60
  locations   = toset([for key in var.keys : key.location])

  grants = merge([
    for name, key in var.keys : {
      for agent in key.agents : "${name}/${agent}" => { key = name, agent = agent }
    }
  ]...)
}
