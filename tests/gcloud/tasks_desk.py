"""Names in the fake Cloud Tasks that its tests use."""

LOCATION = "projects/audobon-test/locations/us-central1"
QUEUE = f"{LOCATION}/queues/audobon-batch-normal"
