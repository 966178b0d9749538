# Who may knock: not too often, and with nothing that is known to be an attack.

resource "google_compute_security_policy" "this" {
  project     = var.project
  name        = "${var.prefix}-guard"
  description = "Before the services."
  type        = "CLOUD_ARMOR"

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable          = true
      rule_visibility = "STANDARD"
    }
  }

  advanced_options_config {
    json_parsing = "STANDARD"
    log_level    = "NORMAL"
  }

  dynamic "rule" {
    for_each = local.attacks

    content {
      description = "Refuses ${rule.value.name}."
      action      = "deny(403)"
      priority    = 1000 + rule.key * 10
      preview     = false

      match {
        expr {
          expression = "evaluatePreconfiguredWaf('${rule.value.rules}', {'sensitivity': ${rule.value.sensitivity}})"
        }
      }
    }
  }

  # CVE-2021-44228 and its kind have rules of their own.
  rule {
    description = "Refuses lookups that log libraries would run."
    action      = "deny(403)"
    priority    = 900
    preview     = false

    match {
      expr {
        expression = "evaluatePreconfiguredExpr('cve-canary')"
      }
    }
  }

  rule {
    description = "Bans for ten minutes whoever asks too often."
    action      = "rate_based_ban"
    priority    = 2000
    preview     = false

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action   = "allow"
      exceed_action    = "deny(429)"
      enforce_on_key   = "IP"
      ban_duration_sec = 600

      rate_limit_threshold {
        count        = var.requests_per_minute
        interval_sec = 60
      }

      ban_threshold {
        count        = var.requests_per_minute * 5
        interval_sec = 300
      }
    }
  }

  rule {
    description = "The rest; whoever comes through shows a token to the service."
    action      = "allow"
    priority    = 2147483647
    preview     = false

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_compute_security_policy" "edge" {
  project     = var.project
  name        = "${var.prefix}-edge"
  description = "Before the cache of finished books; who may fetch one is said by its signed link."
  type        = "CLOUD_ARMOR_EDGE"

  dynamic "rule" {
    for_each = length(var.refused_regions) == 0 ? [] : [var.refused_regions]

    content {
      description = "Refuses the regions that are not served."
      action      = "deny(403)"
      priority    = 1000
      preview     = false

      match {
        expr {
          expression = join(" || ", [for region in rule.value : "origin.region_code == '${region}'"])
        }
      }
    }
  }

  rule {
    description = "The rest."
    action      = "allow"
    priority    = 2147483647
    preview     = false

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

locals {
  # Pictures are bytes that look like anything: the sets are taken at the sensitivity that seldom errs.
  attacks = [
    { name = "injected SQL", rules = "sqli-v33-stable", sensitivity = 1 },
    { name = "scripts for browsers", rules = "xss-v33-stable", sensitivity = 1 },
    { name = "inclusion of files here", rules = "lfi-v33-stable", sensitivity = 1 },
    { name = "inclusion of files elsewhere", rules = "rfi-v33-stable", sensitivity = 1 },
    { name = "running of programs", rules = "rce-v33-stable", sensitivity = 1 },
    { name = "scanners", rules = "scannerdetection-v33-stable", sensitivity = 1 },
    { name = "broken protocols", rules = "protocolattack-v33-stable", sensitivity = 1 },
    { name = "fixed sessions", rules = "sessionfixation-v33-stable", sensitivity = 1 },
  ]
}
