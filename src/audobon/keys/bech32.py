"""Bech32, in which age writes its identities.

source  github.com/bitcoin/bips/blob/master/bip-0173.mediawiki; age drops its limit of 90 characters
"""

from collections.abc import Iterator

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


def bech32(prefix: str, data: bytes) -> str:
    """Return bytes under a prefix, in small letters."""
    values = list(_in_fives(data))
    expanded = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    check = _polymod([*expanded, *values, *[0] * _CHECKSUM_LENGTH]) ^ 1
    values += [check >> 5 * (_CHECKSUM_LENGTH - 1 - place) & 31 for place in range(_CHECKSUM_LENGTH)]
    return f"{prefix}1" + "".join(_CHARSET[value] for value in values)


def _in_fives(data: bytes) -> Iterator[int]:
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    for at in range(0, len(bits), 5):
        yield int(bits[at : at + 5], 2)


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, factor in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= factor
    return check
