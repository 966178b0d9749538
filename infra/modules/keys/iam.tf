# Google's services encrypt with our keys as identities of their own; each is allowed its own keys, and no others.

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = local.grants

  crypto_key_id = google_kms_crypto_key.this[each.value.key].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${var.agents[each.value.agent]}"
}

# What Audobon itself encrypts: the topmost key, which wraps the tenant key. By whoever works on pages, and nobody else.
resource "google_kms_crypto_key_iam_member" "users" {
  for_each = var.users

  crypto_key_id = google_kms_crypto_key.this[each.value.key].id
  role          = each.value.role
  member        = "serviceAccount:${each.value.account}"
}
