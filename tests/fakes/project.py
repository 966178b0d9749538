"""A furnished project, for whoever tries the cloud by hand: its key, and the settings that name it."""

from fakes.cloud import FakeCloud

PROJECT = "audobon-fake"
REGION = "us-central1"
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/audobon/cryptoKeys/keyrings"


def furnish(cloud: FakeCloud) -> dict[str, str]:
    """Make what Terraform would make in a project; return the variables for Audobon's settings."""
    cloud.kms.make_key(KEY, rotation_days=90)
    return {
        "AUDOBON_CLOUD_PROJECT": PROJECT,
        "AUDOBON_CLOUD_REGION": REGION,
        "AUDOBON_CLOUD_KMS_KEY": KEY,
    }
