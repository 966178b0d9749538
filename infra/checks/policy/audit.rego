# What was done is written down by an identity of its own, kept, and somebody is told.
package audobon

import rego.v1

deny contains fault("sinks-write-as-themselves", sink, "writes as an identity that others share") if {
	some sink in of("google_logging_project_sink")
	not sink.change.after.unique_writer_identity == true
}

deny contains fault("reads-and-writes-are-audited", {"address": "the plan"}, sprintf("does not audit %s", [kind])) if {
	input.is_whole
	some kind in {"ADMIN_READ", "DATA_READ", "DATA_WRITE"}
	not is_audited(kind)
}

is_audited(kind) if {
	some audit in of("google_project_iam_audit_config")
	some config in audit.change.after.audit_log_config
	config.log_type == kind
}

deny contains fault("no-one-is-spared-the-audit", audit, "does not audit some accounts") if {
	some audit in of("google_project_iam_audit_config")
	some config in audit.change.after.audit_log_config
	count(object.get(config, "exempted_members", [])) > 0
}

deny contains fault("logs-are-kept", bucket, "keeps logs for less than 30 days") if {
	some bucket in of("google_logging_project_bucket_config")
	not bucket.change.after.retention_days >= 30
}

deny contains fault("alerts-reach-somebody", alert, "tells nobody") if {
	some alert in of("google_monitoring_alert_policy")
	count(object.get(alert.change.after, "notification_channels", [])) == 0
}

deny contains fault("alerts-say-what-to-do", alert, "does not say what to do") if {
	some alert in of("google_monitoring_alert_policy")
	object.get(first(alert.change.after, "documentation"), "content", "") == ""
}

deny contains fault("alerts-are-on", alert, "is switched off") if {
	some alert in of("google_monitoring_alert_policy")
	alert.change.after.enabled == false
}
