# Only images that bear our signature run: binary authorization asks for it at every deploy.

resource "google_container_analysis_note" "tested" {
  count = var.signing == null ? 0 : 1

  project           = var.project
  name              = "${var.prefix}-tested"
  short_description = "Built and tested by Audobon's builds."

  attestation_authority {
    hint {
      human_readable_name = "Audobon's builds"
    }
  }
}

resource "google_binary_authorization_attestor" "tested" {
  count = var.signing == null ? 0 : 1

  project     = var.project
  name        = "${var.prefix}-tested"
  description = "Says that an image was built and tested by Audobon's builds."

  attestation_authority_note {
    note_reference = google_container_analysis_note.tested[0].name

    public_keys {
      id = "//cloudkms.googleapis.com/v1/${var.signing.version}"

      pkix_public_key {
        public_key_pem      = var.signing.public_key
        signature_algorithm = "ECDSA_P256_SHA256"
      }
    }
  }
}

resource "google_binary_authorization_policy" "this" {
  count = var.signing == null ? 0 : 1

  project                       = var.project
  description                   = "Images that bear the signature of Audobon's builds."
  global_policy_evaluation_mode = "ENABLE"

  default_admission_rule {
    evaluation_mode         = "REQUIRE_ATTESTATION"
    enforcement_mode        = var.signing.is_enforced ? "ENFORCED_BLOCK_AND_AUDIT_LOG" : "DRYRUN_AUDIT_LOG_ONLY"
    require_attestations_by = [google_binary_authorization_attestor.tested[0].name]
  }
}

resource "google_kms_crypto_key_iam_member" "builder" {
  count = var.signing == null ? 0 : 1

  crypto_key_id = var.signing.key
  role          = "roles/cloudkms.signerVerifier"
  member        = "serviceAccount:${var.accounts["builder"]}"
}
