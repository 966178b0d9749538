"""What is said of an erasure when it is over: signed, for people and for programs."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from audobon.atomic import disk_errors, make_private_folder, write_bytes
from audobon.database.pruning import KEEP_SNAPSHOT_DAYS
from audobon.errors import Corrupt, NewerFormat, NotFound
from audobon.keys.service import Keys
from audobon.settings import Settings

FORMAT = 1


class Attempt(msgspec.Struct, frozen=True):
    """One try to read what was erased.

    where          "this machine", or the place
    what           the pack, or the row of the database
    digest         BLAKE3 of the ciphertext that was tried
    was_readable   before the key was destroyed; None when it was first tried after
    keys_tried     how many keys the keyring still had
    opened_by      those of them that opened it; none, when all is well
    """

    where: str
    what: str
    digest: str
    was_readable: bool | None
    keys_tried: int
    opened_by: list[str]


class PlaceErased(msgspec.Struct):
    """What was done at a place; instants are UTC seconds.

    ledger_at        when the ledger there had the erasure
    keystore, keystore_at  the export of the keystore without the subject, and since when it lies there
    keystores_removed  older exports that were removed
    pending          why it is not over here; "": it is
    """

    place: str
    ledger_at: float | None = None
    keystore: str = ""
    keystore_at: float | None = None
    keystores_removed: int = 0
    pending: str = "not begun"


class Remains(msgspec.Struct, frozen=True):
    """Ciphertext that nobody can read any more.

    until  in words, when it goes as well
    """

    where: str
    objects: int
    size_bytes: int
    until: str


class KeepTimes(msgspec.Struct, frozen=True):
    """For how long copies are kept, by the settings: of the database here, and of anything at a place."""

    copy_days: float
    place_days: float

    @classmethod
    def of(cls, settings: Settings) -> "KeepTimes":
        """Return what the settings say."""
        rules = settings.backup
        weeks_and_months = max(rules.keep_weekly * 7, rules.keep_monthly * 31)
        return cls(
            copy_days=settings.database.keep_days + KEEP_SNAPSHOT_DAYS,
            place_days=max(rules.keep_days, rules.keep_daily, weeks_and_months),
        )

    def until(self, days: float, *, now: float) -> str:
        """Return the end of so many days, in words for people who wait for it."""
        day = datetime.fromtimestamp(now + (days + 1) * 86_400, UTC)
        return f"until {day:%Y-%m-%d} by the settings of now"


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The erasure of one subject; instants are UTC seconds.

    asked_at     when it was begun
    erased_at    when its key was destroyed on this machine
    finished_at  when no key of it was left anywhere; None while a place is pending
    ledger       the entry of the erasure ledger
    removed      what was removed on this machine, by kind
    """

    format: int = FORMAT
    subject: str
    asked_at: float
    erased_at: float
    finished_at: float | None
    ledger: str
    removed: dict[str, int]
    places: list[PlaceErased]
    attempts: list[Attempt]
    remains: list[Remains]
    made_by: str


class _Signed(msgspec.Struct, frozen=True):
    certificate: msgspec.Raw
    signature: str


def write_certificate(folder: Path, certificate: Certificate, keys: Keys) -> Path:
    """Write a certificate as signed JSON, and as text beside it; return where the JSON lies."""
    body = msgspec.json.encode(certificate)
    path = certificate_path(folder, certificate.subject)
    with disk_errors(path):
        make_private_folder(path.parent)
    write_bytes(path.with_suffix(".txt"), certificate_text(certificate).encode())
    write_bytes(path, msgspec.json.encode(_Signed(msgspec.Raw(body), keys.sign(_said(body)).hex())))
    return path


def read_certificate(folder: Path, subject: str, keys: Keys) -> Certificate:
    """Return a certificate, its signature checked. raises NotFound, Corrupt, NewerFormat."""
    path = certificate_path(folder, subject)
    with disk_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(
                f"there is no certificate of an erasure of {subject}", hint="audobon data subjects"
            ) from None
    try:
        signed = msgspec.json.decode(data, type=_Signed)
        is_signed = keys.is_signed(_said(bytes(signed.certificate)), bytes.fromhex(signed.signature))
        certificate = msgspec.json.decode(signed.certificate, type=Certificate)
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(f"{path} is not as it was written") from error
    if certificate.format > FORMAT:
        raise NewerFormat(f"{path} was written by a newer Audobon", hint="upgrade Audobon")
    if not is_signed:
        raise Corrupt(f"{path} does not bear the signature of this keyring")
    return certificate


def certificate_path(folder: Path, subject: str) -> Path:
    """Return where the certificate of an erasure lies."""
    return folder / "erasures" / f"{subject}.certificate.json"


def certificate_text(certificate: Certificate) -> str:
    """Return a certificate in words."""
    done = certificate.finished_at
    lines = [
        f"Erasure of {certificate.subject}",
        "",
        f"asked for   {_moment(certificate.asked_at)}",
        f"key gone    {_moment(certificate.erased_at)}",
        f"finished    {_moment(done) if done is not None else 'not yet: see the places below'}",
        f"ledger      {certificate.ledger}",
        "",
        "Removed on this machine:",
        *(f"  {kind:<10} {count}" for kind, count in certificate.removed.items()),
        "",
        "Places:" if certificate.places else "There are no places that hold copies.",
    ]
    for place in certificate.places:
        if place.pending:
            lines.append(f"  {place.place}: NOT YET, {place.pending}")
        else:
            older = place.keystores_removed
            lines.append(
                f"  {place.place}: in its ledger {_moment(place.ledger_at)}, its keystore anew"
                f" {_moment(place.keystore_at)}, {older} older removed"
            )
    lines += ["", "Tried to read, with every key that the keyring still has:"]
    for attempt in certificate.attempts:
        before = {True: "readable before", False: "not readable before", None: "not tried before"}
        outcome = "OPENED by " + ", ".join(attempt.opened_by) if attempt.opened_by else "none opens it"
        lines.append(
            f"  {attempt.where}: {attempt.what}: {before[attempt.was_readable]};"
            f" {attempt.keys_tried} keys tried, {outcome}"
        )
    if not certificate.attempts:
        lines.append("  nothing of it was stored")
    lines += [
        "",
        "What remains is ciphertext that no key opens:" if certificate.remains else "Nothing remains.",
    ]
    lines += [
        f"  {remains.where}: {remains.objects} objects, {remains.size_bytes} bytes, {remains.until}"
        for remains in certificate.remains
    ]
    return "\n".join(lines) + "\n"


def _moment(at: float | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _said(body: bytes) -> bytes:
    return b"audobon erasure certificate\0" + body
