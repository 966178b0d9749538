# What the rules share. Their input is a plan as `terraform show -json` writes it, with the stage it is for, and
# whether it is all of that stage. What nobody said is left out of it: there is no null and no empty list.
package audobon

import rego.v1

of(type) := [resource |
	some resource in input.resource_changes
	resource.type == type
	resource.mode == "managed"
	resource.change.after != null
]

fault(rule, resource, why) := {"rule": rule, "address": resource.address, "why": why}

# The first element of a block, or an empty one where the block is missing.
first(object_, block) := object_[block][0]

first(object_, block) := {} if not object_[block][0]

# A string such as 7776000s in seconds; -1 for anything else.
seconds(text) := to_number(trim_suffix(text, "s")) if regex.match(`^[0-9]+s$`, text)

seconds(text) := -1 if not regex.match(`^[0-9]+s$`, text)

is_lasting if input.stage != "development"

is_production if input.stage == "production"
