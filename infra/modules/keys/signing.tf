# What an image is signed with after it was tested; only what bears the signature is deployed.

resource "google_kms_crypto_key" "signing" {
  count = var.signing == null ? 0 : 1

  name                       = "${var.prefix}-images"
  key_ring                   = google_kms_key_ring.this[var.signing.location].id
  purpose                    = "ASYMMETRIC_SIGN"
  destroy_scheduled_duration = "${var.destroy_days * local.day_seconds}s"
  labels                     = var.labels

  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = var.signing.protection_level
  }

  lifecycle {
    prevent_destroy = true
  }
}

data "google_kms_crypto_key_version" "signing" {
  count = var.signing == null ? 0 : 1

  crypto_key = google_kms_crypto_key.signing[0].id
}
