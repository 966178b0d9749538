# Who may call the services, run the jobs, and deploy: single accounts, resource by resource; never everybody.

resource "google_cloud_run_v2_service_iam_member" "callers" {
  for_each = merge([
    for caller, account in var.callers : {
      for name in keys(local.services) : "${name}/${caller}" => { service = name, account = account }
    }
  ]...)

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.this[each.value.service].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${each.value.account}"
}

resource "google_cloud_run_v2_service_iam_member" "deployer" {
  for_each = google_cloud_run_v2_service.this

  project  = var.project
  location = var.region
  name     = each.value.name
  role     = var.deployer_role
  member   = "serviceAccount:${var.accounts["deployer"]}"
}

resource "google_cloud_run_v2_job_iam_member" "deployer" {
  for_each = google_cloud_run_v2_job.this

  project  = var.project
  location = var.region
  name     = each.value.name
  role     = var.deployer_role
  member   = "serviceAccount:${var.accounts["deployer"]}"
}

resource "google_cloud_run_v2_worker_pool_iam_member" "deployer" {
  for_each = google_cloud_run_v2_worker_pool.this

  project  = var.project
  location = var.region
  name     = each.value.name
  role     = var.deployer_role
  member   = "serviceAccount:${var.accounts["deployer"]}"
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  for_each = { for name, job in local.jobs : name => job if job.schedule != null }

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.this[each.key].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.accounts["scheduler"]}"
}
