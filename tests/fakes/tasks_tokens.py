"""Signs OIDC tokens by a test key, as Google signs those that Cloud Tasks carries."""

import base64
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://accounts.google.com"
LIFE_SECONDS = 3600.0
# Signing takes longer than all else of a delivery.
_REUSED_SECONDS = 300.0


class TokenSigner:
    """Mints tokens for service accounts, and says by which key they can be verified.

    clock  a verifier compares instants with its own clock, so this is the real one unless a test turns it
    """

    key_id = "test-key"

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._fresh: dict[tuple[str, str], tuple[float, str]] = {}

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, *, account: str, audience: str, **claims: Any) -> str:
        """Return a token that says who calls whom; `claims` stand in the place of what it would say."""
        now = int(self._clock())
        said = {
            "iss": ISSUER,
            "aud": audience,
            "azp": account,
            "email": account,
            "email_verified": True,
            "sub": str(sum(account.encode())),
            "iat": now,
            "exp": now + int(LIFE_SECONDS),
        }
        return jwt.encode(said | claims, self._key, algorithm="RS256", headers={"kid": self.key_id})

    def fresh_token(self, account: str, audience: str) -> str:
        """Return a token that has most of its life before it."""
        now = self._clock()
        minted_at, token = self._fresh.get((account, audience), (-1e18, ""))
        if not 0 <= now - minted_at < _REUSED_SECONDS:
            token = self.token(account=account, audience=audience)
            self._fresh[(account, audience)] = (now, token)
        return token

    def jwks(self) -> dict[str, Any]:
        """Return the public keys, as a JWKS endpoint answers them."""
        numbers = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "alg": "RS256",
                    "use": "sig",
                    "kid": self.key_id,
                    "n": _base64url(numbers.n),
                    "e": _base64url(numbers.e),
                }
            ]
        }


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
