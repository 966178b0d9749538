# Who may do what: single accounts, narrow roles, no keys, nobody from everywhere.
package audobon

import rego.v1

grants contains {"address": resource.address, "type": resource.type, "role": resource.change.after.role, "member": member} if {
	some resource in input.resource_changes
	resource.mode == "managed"
	regex.match(`_iam_(member|binding)$`, resource.type)
	some member in members_of(resource.change.after)
}

members_of(after) := [after.member] if after.member

members_of(after) := after.members if after.members

deny contains fault("nobody-from-everywhere", grant, sprintf("is granted to %s", [grant.member])) if {
	some grant in grants
	grant.member in {"allUsers", "allAuthenticatedUsers"}
}

deny contains fault("no-primitive-roles", grant, sprintf("gives %s", [grant.role])) if {
	some grant in grants
	grant.role in {"roles/owner", "roles/editor", "roles/viewer"}
}

# In the whole project, administrators and those who act as others could do anything.
deny contains fault("no-broad-roles-in-the-project", grant, sprintf("gives %s in the whole project", [grant.role])) if {
	some grant in grants
	startswith(grant.type, "google_project_iam_")
	regex.match(`(\.admin|\.securityAdmin|/iam\.serviceAccountUser|/iam\.serviceAccountTokenCreator|/iam\.workloadIdentityUser|\.projectIamAdmin)$`, grant.role)
}

deny contains fault("no-whole-identity-pools", grant, "lets in every identity of a pool") if {
	some grant in grants
	regex.match(`^principalSet://.*/workloadIdentityPools/[^/]+/\*$`, grant.member)
}

# Policies and bindings of a project take away what others granted there.
deny contains fault("grants-add-only", resource, "takes other grants of the project away") if {
	some type in {"google_project_iam_policy", "google_project_iam_binding"}
	some resource in of(type)
}

deny contains fault("no-keys-of-accounts", resource, "is a key that can be copied and stolen") if {
	some type in {"google_service_account_key", "google_storage_hmac_key"}
	some resource in of(type)
}

forbidden_permissions := {"iam.serviceAccounts.actAs", "iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signBlob", "iam.serviceAccountKeys.create"}

deny contains fault("own-roles-are-narrow", role, sprintf("allows %s", [permission])) if {
	some role in of("google_project_iam_custom_role")
	some permission in role.change.after.permissions
	is_wide(permission)
}

is_wide(permission) if permission in forbidden_permissions

is_wide(permission) if endswith(permission, ".setIamPolicy")

is_wide(permission) if contains(permission, "*")

deny contains fault("identity-providers-say-whom", provider, "lets in whoever has a token of the issuer") if {
	some provider in of("google_iam_workload_identity_pool_provider")
	object.get(provider.change.after, "attribute_condition", null) in {null, "", "true"}
}
