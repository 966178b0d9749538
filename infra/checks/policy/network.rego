# The network: nobody comes in, what goes out is written down, and outside only the newest TLS is spoken.
package audobon

import rego.v1

deny contains fault("networks-are-drawn-by-us", network, "has a subnetwork in every region") if {
	some network in of("google_compute_network")
	not network.change.after.auto_create_subnetworks == false
}

deny contains fault("flows-are-logged", subnetwork, "does not log what flows") if {
	some subnetwork in of("google_compute_subnetwork")
	not object.get(subnetwork.change.after, "purpose", null) in {"REGIONAL_MANAGED_PROXY", "PROXY_ONLY"}
	not first(subnetwork.change.after, "log_config").flow_sampling > 0
}

deny contains fault("google-is-reached-from-inside", subnetwork, "reaches Google over the public network") if {
	some subnetwork in of("google_compute_subnetwork")
	not subnetwork.change.after.private_ip_google_access == true
}

deny contains fault("nobody-comes-in", firewall, "lets anybody in") if {
	some firewall in of("google_compute_firewall")
	not firewall.change.after.direction == "EGRESS"
	count(object.get(firewall.change.after, "allow", [])) > 0
	some range in firewall.change.after.source_ranges
	range in {"0.0.0.0/0", "::/0"}
}

deny contains fault("egress-is-logged", nat, "does not log what leaves") if {
	some nat in of("google_compute_router_nat")
	not first(nat.change.after, "log_config").enable == true
}

deny contains fault("tls-of-today", policy, "speaks TLS older than 1.2, or weak ciphers") if {
	some policy in of("google_compute_ssl_policy")
	not is_of_today(policy.change.after)
}

is_of_today(policy) if {
	policy.profile in {"MODERN", "RESTRICTED"}
	policy.min_tls_version in {"TLS_1_2", "TLS_1_3"}
}

deny contains fault("proxies-say-their-tls", proxy, "speaks TLS of any age") if {
	some proxy in of("google_compute_target_https_proxy")
	object.get(proxy.change.after, "ssl_policy", null) == null
}

deny contains fault("in-clear-only-to-redirect", map, "is served without TLS") if {
	some proxy in of("google_compute_target_http_proxy")
	some map in of("google_compute_url_map")
	map.change.after.id == proxy.change.after.url_map
	not first(map.change.after, "default_url_redirect").https_redirect == true
}

deny contains fault("backends-are-guarded", backend, "stands before the world without a guard") if {
	some backend in of("google_compute_backend_service")
	startswith(backend.change.after.load_balancing_scheme, "EXTERNAL")
	object.get(backend.change.after, "security_policy", null) == null
}

deny contains fault("requests-are-logged", backend, "does not log requests") if {
	some backend in of("google_compute_backend_service")
	not first(backend.change.after, "log_config").enable == true
}
