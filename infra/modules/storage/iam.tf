# Whoever needs a bucket is allowed what it does there, and in no other.

resource "google_storage_bucket_iam_member" "this" {
  for_each = var.grants

  bucket = google_storage_bucket.this[each.value.bucket].name
  role   = each.value.role
  member = "serviceAccount:${each.value.account}"
}
