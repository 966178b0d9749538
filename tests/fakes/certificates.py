"""A certificate authority for tests."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from cryptography.x509.oid import NameOID


class Authority:
    """Certifies keys, under a name that nobody trusts but tests."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Audobon tests")])
        self.certificate = self._signed(self._key.public_key(), datetime.now(UTC) + timedelta(days=3650))

    def certify(self, public_key: str, *, until: float) -> str:
        """Return a certificate (PEM) of a public key (PEM). raises ValueError.

        until  UTC seconds
        """
        key = load_pem_public_key(public_key.encode())
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise ValueError("neither RSA nor an elliptic curve")
        return self._signed(key, datetime.fromtimestamp(until, UTC))

    def _signed(self, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, until: datetime) -> str:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=3660))
            .not_valid_after(until)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM).decode()
