# From a commit to a signed image: where images are kept, what builds them, and what may run.

resource "google_artifact_registry_repository" "images" {
  project                = var.project
  location               = var.region
  repository_id          = "${var.prefix}-images"
  description            = "Images of the worker; one is built, tested and signed, and goes by its digest from stage to stage."
  format                 = "DOCKER"
  mode                   = "STANDARD_REPOSITORY"
  kms_key_name           = var.kms_key
  cleanup_policy_dry_run = false
  labels                 = merge(var.labels, { room = "build" })

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  cleanup_policies {
    id     = "keep-the-newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = var.images_kept
    }
  }

  cleanup_policies {
    id     = "drop-the-old"
    action = "DELETE"

    condition {
      older_than = "${var.image_days * 24 * 60 * 60}s"
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "readers" {
  for_each = var.readers

  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${each.value}"
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = "serviceAccount:${var.accounts["builder"]}"
}

resource "google_cloudbuild_trigger" "this" {
  for_each = var.repository == null ? {} : var.triggers

  project            = var.project
  location           = var.region
  name               = "${var.prefix}-${each.key}"
  description        = each.value.description
  service_account    = var.account_ids[each.value.account]
  filename           = each.value.filename
  included_files     = each.value.included_files
  include_build_logs = "INCLUDE_BUILD_LOGS_WITH_STATUS"
  disabled           = false
  tags               = ["audobon", var.stage]

  repository_event_config {
    repository = var.repository

    dynamic "push" {
      for_each = each.value.on == "pull_request" ? [] : [each.value]

      content {
        branch = push.value.on == "branch" ? push.value.pattern : null
        tag    = push.value.on == "tag" ? push.value.pattern : null
      }
    }

    dynamic "pull_request" {
      for_each = each.value.on == "pull_request" ? [each.value] : []

      content {
        branch = pull_request.value.pattern
        # What strangers propose runs only after somebody of us has looked at it.
        comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
      }
    }
  }

  approval_config {
    approval_required = each.value.needs_approval
  }

  substitutions = merge({
    _REGION     = var.region
    _REPOSITORY = local.repository_url
    _STAGE      = var.stage
  }, each.value.substitutions)
}

locals {
  repository_url = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
