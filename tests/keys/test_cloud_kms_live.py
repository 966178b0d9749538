"""The promise of every protector, kept by Cloud KMS itself: `pytest -m live` speaks to Google, and costs."""

from pathlib import Path

import pytest
from key_encryption_conformance import KeyEncryptionConformance

from audobon.config import load
from audobon.keys.gcp import CloudKeyFile

pytestmark = pytest.mark.live


class TestLiveCloudKeyFile(KeyEncryptionConformance):
    """Over the key that `cloud.kms_key` names; nothing at Google is made, changed or destroyed."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "kek.cloud-kms.json"
        self.key = load().cloud.kms_key
        self.is_new = True

    def opened(self) -> CloudKeyFile:
        return CloudKeyFile(self.path, self.key, is_new=lambda: self.is_new)

    def lose(self) -> None:
        self.path.unlink()
        self.is_new = False
