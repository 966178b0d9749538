# A whole stage: every module, and who hands what to whom. What differs by stage comes in as settings.

module "project" {
  source = "../project"

  project = var.project
  stage   = var.settings.stage
  apis    = var.settings.apis
  labels  = var.labels
}

module "access" {
  source = "../access"

  project           = module.project.project
  prefix            = local.prefix
  accounts          = var.settings.accounts
  roles             = var.settings.roles
  database_instance = local.database_instance
  federated         = var.federated
}

module "keys" {
  source = "../keys"

  project      = module.project.project
  prefix       = local.prefix
  labels       = module.project.labels
  keys         = var.settings.keys
  agents       = module.project.agents
  destroy_days = var.settings.key_destroy_days
  signing      = { location = local.region }
  users = {
    for name, user in var.settings.key_users : name => {
      key     = user.key
      role    = user.role
      account = module.access.accounts[user.account]
    }
  }
}

module "network" {
  source = "../network"

  project       = module.project.project
  region        = local.region
  prefix        = local.prefix
  labels        = module.project.labels
  flow_sampling = var.settings.flow_sampling
  connector     = {}
}

module "storage" {
  source = "../storage"

  project       = module.project.project
  prefix        = local.prefix
  labels        = module.project.labels
  is_disposable = var.settings.is_disposable
  buckets = {
    for name, bucket in var.settings.buckets : name => merge(bucket, { kms_key = module.keys.keys[bucket.key] })
  }
  access_logs = {
    location  = local.region
    kms_key   = module.keys.keys["storage"]
    keep_days = var.settings.access_log_days
  }
  grants = {
    for name, grant in var.settings.grants : name => {
      bucket  = grant.bucket
      role    = module.access.roles[grant.role]
      account = module.access.accounts[grant.account]
    }
  }
}

module "database" {
  source = "../database"

  project             = module.project.project
  region              = local.region
  name                = local.database_instance
  labels              = merge(module.project.labels, { room = "database" })
  private_network     = module.network.private_network
  services_range      = module.network.services_range
  kms_key             = module.keys.keys["database"]
  tier                = var.settings.database.tier
  availability_type   = var.settings.database.availability_type
  most_disk_gigabytes = var.settings.database.most_disk_gigabytes
  backup_location     = var.settings.database.backup_location
  backups_kept        = var.settings.database.backups_kept
  recovery_days       = var.settings.database.recovery_days
  is_protected        = var.settings.is_protected
  accounts            = { for name in var.settings.database.accounts : name => module.access.accounts[name] }
}

module "queue" {
  source = "../queue"

  project         = module.project.project
  region          = local.region
  queues          = var.settings.queues
  dispatcher      = module.access.accounts["dispatcher"]
  dispatcher_role = module.access.roles["task_releaser"]
}

module "build" {
  source = "../build"

  project     = module.project.project
  region      = local.region
  prefix      = local.prefix
  stage       = var.settings.stage
  labels      = module.project.labels
  kms_key     = module.keys.keys["images"]
  repository  = var.repository
  triggers    = var.settings.triggers
  accounts    = module.access.accounts
  account_ids = module.access.account_ids
  readers     = { for name in ["worker", "deployer"] : name => module.access.accounts[name] }
  signing = {
    key         = module.keys.signing_key
    version     = module.keys.signing_version.id
    public_key  = module.keys.signing_version.public_key
    is_enforced = var.settings.takes_signed_images_only
  }
}

module "compute" {
  source = "../compute"

  project        = module.project.project
  project_number = module.project.number
  region         = local.region
  prefix         = local.prefix
  labels         = module.project.labels
  images         = var.images
  services       = var.settings.services
  pools          = var.settings.pools
  jobs           = var.settings.jobs
  accounts       = module.access.accounts
  worker_account = module.access.accounts["worker"]
  # Cloud Tasks by its account; and, where there is a name to look at, Google's checker that looks.
  callers = merge(
    { invoker = module.access.accounts["invoker"] },
    var.domain == null ? {} : { checker = module.project.agents["monitoring"] },
  )
  deployer_role            = module.access.roles["deployer"]
  audiences                = var.domain == null ? [] : ["https://${var.domain}"]
  environment              = local.environment
  network                  = module.network.network
  subnetwork               = module.network.subnetwork
  worker_tag               = module.network.worker_tag
  kms_key                  = module.keys.keys["compute"]
  takes_signed_images_only = var.settings.takes_signed_images_only
  is_protected             = var.settings.is_protected
}

module "load_balancer" {
  source = "../load-balancer"
  # There is nothing to lead to before there are a name and a service.
  count = var.domain != null && contains(keys(var.images), var.settings.default_service) ? 1 : 0

  project         = module.project.project
  region          = local.region
  prefix          = local.prefix
  labels          = merge(module.project.labels, { room = "load-balancer" })
  domain          = var.domain
  default_service = var.settings.default_service
  services        = { (var.settings.default_service) = { service = module.compute.services[var.settings.default_service] } }
  delivery = {
    bucket          = module.storage.buckets["delivery"]
    reader          = module.project.agents["content_delivery"]
    has_signing_key = var.has_signing_key
  }
}

module "functions" {
  source = "../functions"

  project       = module.project.project
  region        = local.region
  prefix        = local.prefix
  labels        = module.project.labels
  sources       = var.sources
  account       = module.access.accounts["functions"]
  build_account = module.access.account_ids["builder"]
  builder       = module.access.accounts["builder"]
  source_role   = module.access.roles["object_keeper"]
  agents        = module.project.agents
  repository    = module.build.repository
  connector     = module.network.connector
  kms_key       = module.keys.keys["functions"]
  storage_key   = module.keys.keys["storage"]
  access_logs   = module.storage.access_logs
  environment   = local.environment
  functions = {
    for name, function in var.settings.functions : name => merge(function, {
      bucket     = function.bucket == null ? null : module.storage.buckets[function.bucket]
      publishers = { for publisher in function.publishers : publisher => "serviceAccount:${local.publishers[publisher]}" }
    })
  }
}

module "telemetry" {
  source = "../telemetry"

  project           = module.project.project
  region            = local.region
  prefix            = local.prefix
  stage             = var.settings.stage
  labels            = module.project.labels
  addresses         = var.addresses
  domain            = var.domain
  database_instance = local.database_instance
  logs              = var.settings.logs
  level             = var.settings.log_level
  kms_key           = module.keys.keys["logs"]
  daily_jobs        = var.settings.daily_jobs
  thresholds        = var.settings.alert_thresholds
  silent_alerts     = setunion(var.settings.silent_alerts, var.domain == null ? ["door_closed", "certificate_ends"] : [])
}

module "audit" {
  source = "../audit"

  project       = module.project.project
  region        = local.region
  prefix        = local.prefix
  stage         = var.settings.stage
  labels        = merge(module.project.labels, { room = "audit" })
  log_days      = var.settings.audit.log_days
  keep_days     = var.settings.audit.keep_days
  is_locked     = var.settings.audit.is_locked
  is_disposable = var.settings.is_disposable
  logging_key   = module.keys.keys["logs"]
  storage_key   = module.keys.keys["storage"]
  access_logs   = module.storage.access_logs
  channels      = module.telemetry.channels
}

module "costs" {
  source = "../costs"

  project         = module.project.project
  project_number  = module.project.number
  region          = local.region
  prefix          = local.prefix
  stage           = var.settings.stage
  labels          = module.project.labels
  billing_account = var.billing_account
  currency        = var.currency
  budgets         = var.settings.budgets
  thresholds      = var.settings.budget_thresholds
  topic           = module.functions.topics["stop_placement"]
  channels        = slice(module.telemetry.channels, 0, min(5, length(module.telemetry.channels)))
  quotas          = var.settings.quotas
  contact         = values(var.addresses)[0]
  kms_key         = module.keys.keys["billing"]
}

locals {
  prefix            = var.settings.prefix
  region            = var.settings.region
  database_instance = "${var.settings.prefix}-database"

  # Who may send to a topic beside our own accounts: Google's billing tells of budgets as this one.
  publishers = merge(module.access.accounts, { billing = "billing-budget-alert@system.gserviceaccount.com" })

  environment = {
    AUDOBON_CLOUD_PROJECT            = var.project
    AUDOBON_CLOUD_REGION             = local.region
    AUDOBON_CLOUD_SECOND_REGION      = var.settings.second_region
    AUDOBON_CLOUD_BUCKET             = module.storage.buckets["blobs"]
    AUDOBON_CLOUD_BACKUP_BUCKET      = module.storage.buckets["backup"]
    AUDOBON_CLOUD_KMS_KEY            = module.keys.keys["keyring"]
    AUDOBON_CLOUD_TASKS_QUEUE_PREFIX = local.prefix
    AUDOBON_CLOUD_SERVICE_ACCOUNT    = module.access.accounts["invoker"]
    AUDOBON_CLOUD_DATABASE_INSTANCE  = module.database.connection_name
    AUDOBON_LOGS_LEVEL               = lower(var.settings.log_level)
  }
}
