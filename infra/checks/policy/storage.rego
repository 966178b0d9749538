# Buckets: closed to the public, kept in versions, moved and removed by rules, never emptied by a wrong plan.
package audobon

import rego.v1

deny contains fault("one-kind-of-rights", bucket, "has rights on single objects") if {
	some bucket in of("google_storage_bucket")
	not bucket.change.after.uniform_bucket_level_access == true
}

deny contains fault("not-for-the-public", bucket, "could be made public") if {
	some bucket in of("google_storage_bucket")
	not bucket.change.after.public_access_prevention == "enforced"
}

deny contains fault("keeps-versions", bucket, "loses what is overwritten") if {
	some bucket in of("google_storage_bucket")
	not keeps_something(bucket)
}

keeps_something(bucket) if first(bucket.change.after, "versioning").enabled == true

# Within its term nothing can be overwritten; Cloud Storage keeps versions or a term, not both.
keeps_something(bucket) if first(bucket.change.after, "retention_policy").retention_period > 0

deny contains fault("versions-or-a-term", bucket, "asks for versions and for a term, which Cloud Storage does not give together") if {
	some bucket in of("google_storage_bucket")
	first(bucket.change.after, "versioning").enabled == true
	first(bucket.change.after, "retention_policy").retention_period > 0
}

deny contains fault("says-its-soft-delete", bucket, "leaves the time to bring deleted objects back to chance") if {
	some bucket in of("google_storage_bucket")
	not first(bucket.change.after, "soft_delete_policy").retention_duration_seconds >= 0
}

deny contains fault("not-emptied-by-a-plan", bucket, "would be destroyed with what lies in it") if {
	is_lasting
	some bucket in of("google_storage_bucket")
	bucket.change.after.force_destroy == true

	# The packed source of functions is made anew by any build.
	not is_of(bucket, "source")
}

deny contains fault("old-versions-end", bucket, "keeps old versions for ever") if {
	some bucket in of("google_storage_bucket")
	# Backups are removed by who may prune them, and by nothing else.
	not is_of(bucket, "backup")
	not ends_something(bucket)
}

ends_something(bucket) if {
	some rule in bucket.change.after.lifecycle_rule
	rule.action[0].type == "Delete"
}

classes := {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}

deny contains fault("known-classes", bucket, "moves to a class that is none") if {
	some bucket in of("google_storage_bucket")
	some rule in bucket.change.after.lifecycle_rule
	rule.action[0].type == "SetStorageClass"
	class := rule.action[0].storage_class
	not class in classes
}

deny contains fault("colder-with-age", bucket, "moves to a warmer class with age") if {
	some bucket in of("google_storage_bucket")
	some one in bucket.change.after.lifecycle_rule
	some other in bucket.change.after.lifecycle_rule
	one.action[0].type == "SetStorageClass"
	other.action[0].type == "SetStorageClass"
	one.condition[0].age < other.condition[0].age
	coldness[one.action[0].storage_class] > coldness[other.action[0].storage_class]
}

coldness := {"STANDARD": 0, "NEARLINE": 1, "COLDLINE": 2, "ARCHIVE": 3}

is_of(bucket, what) if bucket.change.after.labels.data == what

deny contains fault("backups-cannot-be-taken-back", bucket, "holds backups that could be deleted at once") if {
	is_lasting
	some bucket in of("google_storage_bucket")
	is_of(bucket, "backup")
	not first(bucket.change.after, "retention_policy").retention_period >= 604800
}

deny contains fault("the-audit-is-locked", bucket, "holds an audit that its owner could shorten") if {
	is_production
	some bucket in of("google_storage_bucket")
	is_of(bucket, "audit")
	not first(bucket.change.after, "retention_policy").is_locked == true
}
