"""Keyrings for tests: a data folder, what unlocks it beside, and protectors that cost nothing."""

from pathlib import Path

from audobon.keys.keystore import Keystore
from audobon.keys.passphrase import Cost, Passphrase, PassphraseFile
from audobon.keys.port import KeyEncryption
from audobon.keys.protector import Protector
from audobon.keys.sealed_texts import parted
from audobon.keys.service import Keys
from audobon.keys.unlocking import HereProtectors

CHEAP = Cost(memory_kib=64, passes=1, lanes=1)


def sealed_version(text: str) -> tuple[str, int]:
    """Return whose key sealed a text, and which version of it."""
    found = parted(text)
    assert found is not None
    return found[0], int.from_bytes(found[1][:4], "big")


class MemoryBackend:
    """A secret store of the `keyring` library that lives as long as the test."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.secrets.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.secrets[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.secrets[service, username]


class CheapProtectors(HereProtectors):
    """As on this machine, but a guess at the passphrase costs nothing."""

    def kek(
        self, store: Keystore, protector: Protector, *, may_be_new: bool = False, name: str | None = None
    ) -> KeyEncryption:
        kek = super().kek(store, protector, may_be_new=may_be_new, name=name)
        if isinstance(kek, PassphraseFile):
            kek._cost = CHEAP
        return kek


class Home:
    """A machine with one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.unlock_folder = folder / "keyrings"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.backend: MemoryBackend | None = None
        self.cloud_key = ""

    def protectors(self, passphrase: str = "", *, wanted: str = "auto") -> CheapProtectors:
        return CheapProtectors(
            self.unlock_folder,
            Passphrase(given=passphrase),
            wanted=wanted,
            cloud_key=self.cloud_key,
            find_store=lambda: self.backend,
        )

    def open(self, passphrase: str = "", *, wanted: str = "auto") -> Keys:
        return Keys(self.folder, self.protectors(passphrase, wanted=wanted))

    @property
    def keystore(self) -> Path:
        return self.folder / "keys" / "keystore.db"

    @property
    def ledger(self) -> Path:
        return self.folder / "keys" / "ledger.jsonl"

    @property
    def unlock_file(self) -> Path:
        return next(path for path in self.unlock_folder.iterdir() if path.suffix == ".json")
