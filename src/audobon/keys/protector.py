"""What a keystore needs of whoever protects it; which protector that is, the keystore itself records."""

from typing import Literal, Protocol

from audobon.keys.keystore import Keystore
from audobon.keys.passphrase import Passphrase
from audobon.keys.port import KeyEncryption

Protector = Literal["unlock-file", "passphrase", "secret-store", "cloud-kms"]
"""Where the key-encryption key lies."""


class Protectors(Protocol):
    """Makes key-encryption keys, for the embedded places or for others."""

    passphrase: Passphrase

    def choose(self) -> Protector:
        """Return the protector of a keyring that is made now."""

    def kek(
        self, store: Keystore, protector: Protector, *, may_be_new: bool = False, name: str | None = None
    ) -> KeyEncryption:
        """Return the key-encryption key of a keystore.

        may_be_new  when there is none, it is made
        name        its name; None: the one that the keystore records
        """
