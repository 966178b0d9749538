# Money: a budget that warns early, of what was spent and of what will be.
package audobon

import rego.v1

deny contains fault("there-is-a-budget", {"address": "the plan"}, "spends without a budget") if {
	input.is_whole
	count(of("google_billing_budget")) == 0
}

deny contains fault("budgets-warn-early", budget, "does not warn at half, at 90 % and at the whole") if {
	some budget in of("google_billing_budget")
	spent := {rule.threshold_percent |
		some rule in budget.change.after.threshold_rules
		object.get(rule, "spend_basis", null) in {null, "CURRENT_SPEND"}
	}
	not warns_early(spent)
}

warns_early(spent) if {
	some half in spent
	half <= 0.5
	some most in spent
	most >= 0.75
	most < 1
	1 in spent
}

deny contains fault("budgets-look-ahead", budget, "does not warn of what will be spent") if {
	some budget in of("google_billing_budget")
	not looks_ahead(budget)
}

looks_ahead(budget) if {
	some rule in budget.change.after.threshold_rules
	rule.spend_basis == "FORECASTED_SPEND"
}

deny contains fault("budgets-are-heard", budget, "warns nobody but the owner of the account") if {
	some budget in of("google_billing_budget")
	not is_heard(first(budget.change.after, "all_updates_rule"))
}

is_heard(rule) if rule.pubsub_topic != null

is_heard(rule) if count(rule.monitoring_notification_channels) > 0
