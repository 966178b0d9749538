# What can bear labels does, so that costs can be told apart; names are such as Google takes.
package audobon

import rego.v1

needed := {"app", "stage", "managed_by"}

# Where both are, labels means something else.
labels_of(after) := after.user_labels if {
	is_object(after.user_labels)
} else := after.settings[0].user_labels if {
	is_object(after.settings[0].user_labels)
} else := after.labels if {
	is_object(after.labels)
}

bears_labels(resource) if resource.change.after.effective_labels

bears_labels(resource) if resource.type in {
	"google_monitoring_alert_policy",
	"google_monitoring_notification_channel",
	"google_monitoring_uptime_check_config",
	"google_sql_database_instance",
}

deny contains fault("labels-are-there", resource, sprintf("lacks the label %s", [label])) if {
	some resource in input.resource_changes
	resource.mode == "managed"
	bears_labels(resource)
	some label in needed
	not has_label(resource.change.after, label)
}

has_label(after, label) if labels_of(after)[label]

deny contains fault("the-stage-is-told", resource, sprintf("says it is of %s", [stage])) if {
	some resource in input.resource_changes
	resource.mode == "managed"
	stage := labels_of(resource.change.after).stage
	stage != input.stage
}

deny contains fault("labels-as-google-takes-them", resource, sprintf("has the label %s=%s", [name, value])) if {
	some resource in input.resource_changes
	resource.mode == "managed"
	some name, value in labels_of(resource.change.after)
	not regex.match(`^[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}$`, sprintf("%s=%s", [name, value]))
}

looks := {
	"google_cloud_run_v2_service": ["name", `^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$`],
	"google_cloud_tasks_queue": ["name", `^[A-Za-z0-9-]{1,100}$`],
	"google_compute_network": ["name", `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`],
	"google_kms_crypto_key": ["name", `^[A-Za-z0-9_-]{1,63}$`],
	"google_project_iam_custom_role": ["role_id", `^[A-Za-z0-9_.]{3,64}$`],
	"google_pubsub_topic": ["name", `^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`],
	"google_secret_manager_secret": ["secret_id", `^[A-Za-z0-9_-]{1,255}$`],
	"google_service_account": ["account_id", `^[a-z][a-z0-9-]{4,28}[a-z0-9]$`],
	"google_sql_database_instance": ["name", `^[a-z][a-z0-9-]{0,83}$`],
	"google_storage_bucket": ["name", `^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$`],
}

deny contains fault("names-as-google-takes-them", resource, sprintf("is named %s", [name])) if {
	some type, look in looks
	some resource in of(type)
	name := resource.change.after[look[0]]
	not regex.match(look[1], name)
}
