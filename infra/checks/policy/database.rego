# The database: restorable to an instant, in two zones in production, reached from inside, by identities alone.
package audobon

import rego.v1

settings(instance) := instance.change.after.settings[0]

backups(instance) := first(settings(instance), "backup_configuration")

deny contains fault("restorable-to-an-instant", instance, "cannot be restored to an instant") if {
	some instance in of("google_sql_database_instance")
	not is_restorable(instance)
}

is_restorable(instance) if {
	backups(instance).enabled == true
	backups(instance).point_in_time_recovery_enabled == true
	backups(instance).transaction_log_retention_days >= 1
	backups(instance).transaction_log_retention_days <= 7
}

deny contains fault("keeps-a-week-of-backups", instance, "keeps fewer than 7 backups") if {
	some instance in of("google_sql_database_instance")
	not first(backups(instance), "backup_retention_settings").retained_backups >= 7
}

deny contains fault("backups-lie-elsewhere", instance, "has its backups where it is itself") if {
	is_lasting
	some instance in of("google_sql_database_instance")
	object.get(backups(instance), "location", null) in {null, instance.change.after.region}
}

deny contains fault("two-zones-in-production", instance, "lies in one zone") if {
	is_production
	some instance in of("google_sql_database_instance")
	not settings(instance).availability_type == "REGIONAL"
}

deny contains fault("reached-from-inside", instance, "can be reached from outside") if {
	some instance in of("google_sql_database_instance")
	not is_private(instance)
}

is_private(instance) if {
	addresses := first(settings(instance), "ip_configuration")
	addresses.ipv4_enabled == false
	addresses.private_network != null
	count(object.get(addresses, "authorized_networks", [])) == 0
}

deny contains fault("encrypted-on-the-way", instance, "takes connections in clear") if {
	some instance in of("google_sql_database_instance")
	not first(settings(instance), "ip_configuration").ssl_mode in {"ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"}
}

deny contains fault("not-destroyed-by-mistake", instance, "can be destroyed by one command") if {
	is_lasting
	some instance in of("google_sql_database_instance")
	not is_kept(instance)
}

is_kept(instance) if {
	instance.change.after.deletion_protection == true
	settings(instance).deletion_protection_enabled == true
}

deny contains fault("log-in-by-identity", instance, "does not take identities") if {
	some instance in of("google_sql_database_instance")
	not takes_identities(instance)
}

takes_identities(instance) if {
	some flag in settings(instance).database_flags
	flag.name == "cloudsql.iam_authentication"
	flag.value == "on"
}

deny contains fault("no-passwords", user, "logs in by a password") if {
	some user in of("google_sql_user")
	not startswith(object.get(user.change.after, "type", "BUILT_IN"), "CLOUD_IAM_")
}

deny contains fault("grows-to-a-bound", instance, "has a disk that grows without a bound") if {
	some instance in of("google_sql_database_instance")
	settings(instance).disk_autoresize == true
	not settings(instance).disk_autoresize_limit > 0
}
