# Everything at rest is encrypted with a key that this plan makes, and keys are renewed.
package audobon

import rego.v1

key_paths := {
	"google_artifact_registry_repository": ["kms_key_name"],
	"google_bigquery_dataset": ["default_encryption_configuration", 0, "kms_key_name"],
	"google_cloud_run_v2_job": ["template", 0, "template", 0, "encryption_key"],
	"google_cloud_run_v2_service": ["template", 0, "encryption_key"],
	"google_cloud_run_v2_worker_pool": ["template", 0, "encryption_key"],
	"google_cloudfunctions2_function": ["kms_key_name"],
	"google_logging_project_bucket_config": ["cmek_settings", 0, "kms_key_name"],
	"google_pubsub_topic": ["kms_key_name"],
	"google_secret_manager_secret": ["replication", 0, "user_managed", 0, "replicas", 0, "customer_managed_encryption", 0, "kms_key_name"],
	"google_sql_database_instance": ["encryption_key_name"],
	"google_storage_bucket": ["encryption", 0, "default_kms_key_name"],
}

planned_keys contains key.change.after.id if some key in of("google_kms_crypto_key")

deny contains fault("encrypted-with-our-key", resource, "is not encrypted with a key of ours") if {
	some type, path in key_paths
	some resource in of(type)
	object.get(resource.change.after, path, null) == null
}

deny contains fault("encrypted-with-a-planned-key", resource, sprintf("is encrypted with %s, which this plan does not make", [key])) if {
	some type, path in key_paths
	some resource in of(type)
	key := object.get(resource.change.after, path, null)
	key != null
	not key in planned_keys
}

deny contains fault("keys-are-renewed", key, "is not renewed within 90 days") if {
	some key in of("google_kms_crypto_key")
	object.get(key.change.after, "purpose", null) in {null, "ENCRYPT_DECRYPT"}
	not is_renewed(key)
}

is_renewed(key) if {
	period := seconds(key.change.after.rotation_period)
	period >= 86400
	period <= 7776000
}

deny contains fault("destroyed-keys-wait", key, "could be gone within a week of a wrong command") if {
	some key in of("google_kms_crypto_key")
	not waits(key)
}

waits(key) if seconds(key.change.after.destroy_scheduled_duration) >= 604800
