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

  # Pictures are bytes that look like anything: the sets are taken at the sensitivity that seldom errs. Five go into a rule.
  rule {
    description = "Refuses injected SQL, scripts for browsers, and files from here or elsewhere."
    action      = "deny(403)"
    priority    = 1000
    preview     = false

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('sqli-v33-stable', {'sensitivity': 1}) || evaluatePreconfiguredWaf('xss-v33-stable', {'sensitivity': 1}) || evaluatePreconfiguredWaf('lfi-v33-stable', {'sensitivity': 1}) || evaluatePreconfiguredWaf('rfi-v33-stable', {'sensitivity': 1})"
      }
    }
  }

  rule {
    description = "Refuses programs to be run, scanners, broken protocols and fixed sessions."
    action      = "deny(403)"
    priority    = 1010
    preview     = false

    match {
      expr {
        expression = "evaluatePreconfiguredWaf('rce-v33-stable', {'sensitivity': 1}) || evaluatePreconfiguredWaf('scannerdetection-v33-stable', {'sensitivity': 1}) || evaluatePreconfiguredWaf('protocolattack-v33-stable', {'sensitivity': 1}) || evaluatePreconfiguredWaf('sessionfixation-v33-stable', {'sensitivity': 1})"
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
