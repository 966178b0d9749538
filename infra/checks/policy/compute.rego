# What runs: reached through us alone, of images by digest, as an account of its own, within bounds.
package audobon

import rego.v1

running := {
	"google_cloud_run_v2_service": ["template", 0],
	"google_cloud_run_v2_worker_pool": ["template", 0],
	"google_cloud_run_v2_job": ["template", 0, "template", 0],
}

run contains {"address": resource.address, "type": type, "after": resource.change.after, "template": object.get(resource.change.after, path, {})} if {
	some type, path in running
	some resource in of(type)
}

deny contains fault("reached-through-us", service, "can be called from outside") if {
	some service in of("google_cloud_run_v2_service")
	not service.change.after.ingress in {"INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_INTERNAL_ONLY"}
}

deny contains fault("callers-are-checked", service, "takes calls of anybody") if {
	some service in of("google_cloud_run_v2_service")
	service.change.after.invoker_iam_disabled == true
}

deny contains fault("images-by-digest", each, "runs an image whose name may come to mean another") if {
	some each in run
	some container in each.template.containers
	not regex.match(`^[a-z0-9.-]+/[a-z0-9._/-]+@sha256:[0-9a-f]{64}$`, container.image)
}

deny contains fault("an-account-of-its-own", each, "runs as the project's default account") if {
	some each in run
	not is_own_account(object.get(each.template, "service_account", null))
}

is_own_account(account) if {
	account != null
	account != ""
	not contains(account, "-compute@developer.gserviceaccount.com")
}

deny contains fault("memory-and-cores-are-said", each, "does not say what it may take") if {
	some each in run
	some container in each.template.containers
	not has_limits(container)
}

has_limits(container) if {
	container.resources[0].limits.cpu
	container.resources[0].limits.memory
}

deny contains fault("grows-to-a-number", service, "starts as many instances as are asked for") if {
	some service in of("google_cloud_run_v2_service")
	not service.change.after.template[0].scaling[0].max_instance_count >= 1
}

deny contains fault("asked-how-it-is", service, "is not asked whether it is ready and alive") if {
	some service in of("google_cloud_run_v2_service")
	some container in service.change.after.template[0].containers
	not is_probed(container)
}

is_probed(container) if {
	container.startup_probe[0]
	container.liveness_probe[0]
}

deny contains fault("ends-within-an-hour", service, "lets a call last longer than Cloud Run does") if {
	some service in of("google_cloud_run_v2_service")
	not seconds(service.change.after.template[0].timeout) in numbers.range(1, 3600)
}

deny contains fault("no-secrets-in-clear", each, sprintf("says %s in clear", [variable.name])) if {
	some each in run
	some container in each.template.containers
	some variable in container.env
	regex.match(`(PASSWORD|PASSPHRASE|SECRET|TOKEN|PRIVATE|CREDENTIAL)`, variable.name)
	object.get(variable, "value", null) != null
}

deny contains fault("traffic-adds-up", service, sprintf("sends %d%% of the traffic somewhere", [total])) if {
	some service in of("google_cloud_run_v2_service")
	traffic := object.get(service.change.after, "traffic", [])
	count(traffic) > 0
	total := sum([share.percent | some share in traffic; share.percent])
	total != 100
}

deny contains fault("services-are-kept", each, "can be destroyed by one command") if {
	is_production
	some each in run
	not each.after.deletion_protection == true
}

deny contains fault("functions-are-called-from-inside", function, "can be called from outside") if {
	some function in of("google_cloudfunctions2_function")
	not function.change.after.service_config[0].ingress_settings in {"ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"}
}

deny contains fault("functions-have-accounts", function, "runs as the project's default account") if {
	some function in of("google_cloudfunctions2_function")
	not is_own_account(object.get(function.change.after.service_config[0], "service_account_email", null))
}

deny contains fault("functions-grow-to-a-number", function, "starts as many instances as are asked for") if {
	some function in of("google_cloudfunctions2_function")
	not function.change.after.service_config[0].max_instance_count >= 1
}
