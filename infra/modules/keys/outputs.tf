output "keys" {
  description = "Ids of the keys by name, known once Google's services may encrypt with them."
  value       = { for name, key in google_kms_crypto_key.this : name => key.id }
  depends_on  = [google_kms_crypto_key_iam_member.agents]
}

output "rings" {
  description = "Ids of the rings by location."
  value       = { for location, ring in google_kms_key_ring.this : location => ring.id }
}

output "signing_key" {
  description = "Id of the key that images are signed with; null when there is none."
  value       = one(google_kms_crypto_key.signing[*].id)
}

output "signing_version" {
  description = "The version of that key in use: its id for signing, and its public half in PEM; null when there is none."
  value = var.signing == null ? null : {
    id         = data.google_kms_crypto_key_version.signing[0].id
    public_key = data.google_kms_crypto_key_version.signing[0].public_key[0].pem
    algorithm  = data.google_kms_crypto_key_version.signing[0].public_key[0].algorithm
  }
}
