"""The tests of the driver for Cloud KMS catch drivers that break its promises, each by the test named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import test_cloud_kms
from google.cloud import kms_v1

from audobon.errors import AudobonError, CorruptKeyring
from audobon.gcloud.clients import grpc_client
from audobon.keys import gcp
from audobon.keys.gcp import CloudKey, CloudKeyFile
from audobon.keys.unlock_file import write_private
from fakes.cloud import FakeCloud


def ask(method: str, **fields: Any) -> Any:
    client = grpc_client(kms_v1.KeyManagementServiceClient, "kms")
    answer = getattr(client, method)(fields)
    client.transport.close()
    return answer


class BelievesWhatArrives(CloudKey):
    def unseal(self, sealed: bytes, *, context: bytes, version: str) -> bytes:
        answer = ask("decrypt", name=self.name, ciphertext=sealed, additional_authenticated_data=context)
        return bytes(answer.plaintext)


class SealsWithoutChecksums(CloudKey):
    def seal(self, plain: bytes, *, context: bytes) -> tuple[bytes, str]:
        answer = ask("encrypt", name=self.name, plaintext=plain, additional_authenticated_data=context)
        return bytes(answer.ciphertext), answer.name


class NamesAVersion(CloudKey):
    def seal(self, plain: bytes, *, context: bytes) -> tuple[bytes, str]:
        name = self.name
        try:
            self.name = f"{name}/cryptoKeyVersions/1"
            return super().seal(plain, context=context)
        finally:
            self.name = name


class CallsEveryRefusalDamage(CloudKey):
    def unseal(self, sealed: bytes, *, context: bytes, version: str) -> bytes:
        try:
            return super().unseal(sealed, context=context, version=version)
        except AudobonError as error:
            raise CorruptKeyring("x", hint=error.hint) from error


class IgnoresContext(CloudKeyFile):
    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        return super().wrap(key, context=b"")

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        return super().unwrap(wrapped, context=b"")


class ForgetsOlderVersions(CloudKeyFile):
    def rotate(self) -> str:
        version = super().rotate()
        self._save({version: self._present()[version]})
        return version


class MakesALostOneAnew(CloudKeyFile):
    def __init__(self, path: Path, wanted: str, *, is_new: Callable[[], bool]) -> None:
        super().__init__(path, wanted, is_new=lambda: True)


class DiscardsNothing(CloudKeyFile):
    def discard(self) -> None:
        return


class AsksEachTime(CloudKeyFile):
    def _load(self) -> dict[str, bytes] | None:
        self._opened = None
        return super()._load()


class NeverAsksAgain(CloudKeyFile):
    def _load(self) -> dict[str, bytes] | None:
        return super()._load() if self._opened is None else dict(self._opened[1])


class TrustsTheFile(CloudKeyFile):
    def _decoded(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data, type=gcp._Kept)
        except msgspec.DecodeError as error:
            raise CorruptKeyring("x") from error


class KeepsThemInClear(CloudKeyFile):
    def _save(self, versions: dict[str, bytes]) -> None:
        super()._save(versions)
        kept = msgspec.json.decode(self._path.read_bytes())
        kept["note"] = [key.hex() for key in versions.values()]
        write_private(self._path, msgspec.json.encode(kept))


class SealsByTheOldKeyForEver(CloudKeyFile):
    def _save(self, versions: dict[str, bytes]) -> None:
        if self._path.exists():
            self._wanted = self._decoded(self._path.read_bytes()).key
        super()._save(versions)


BROKEN: list[tuple[type, str]] = [
    (BelievesWhatArrives, "test_bytes_that_change_on_their_way_are_asked_for_again_and_never_used"),
    (SealsWithoutChecksums, "test_the_key_is_named_never_a_version_and_checksums_go_along"),
    (SealsWithoutChecksums, "test_bytes_that_change_on_their_way_are_asked_for_again_and_never_used"),
    (NamesAVersion, "test_the_key_is_named_never_a_version_and_checksums_go_along"),
    (CallsEveryRefusalDamage, "test_a_version_that_is_disabled_says_so_and_how_to_enable_it"),
    (CallsEveryRefusalDamage, "test_a_version_that_is_destroyed_is_a_loss"),
    (IgnoresContext, "test_another_context_does_not_unwrap"),
    (ForgetsOlderVersions, "test_a_new_version_wraps_and_older_ones_still_unwrap"),
    (MakesALostOneAnew, "test_what_was_lost_is_told_and_not_made_anew"),
    (DiscardsNothing, "test_what_is_discarded_unwraps_nothing_and_may_be_discarded_again"),
    (AsksEachTime, "test_the_cloud_is_asked_once_per_process"),
    (NeverAsksAgain, "test_what_another_process_rotated_is_asked_for_again"),
    (TrustsTheFile, "test_a_flipped_bit_anywhere_in_the_file_is_noticed_before_the_cloud_is_asked"),
    (KeepsThemInClear, "test_the_keys_themselves_are_nowhere_in_the_file"),
    (
        SealsByTheOldKeyForEver,
        "test_another_key_in_the_settings_opens_by_the_one_that_sealed_it_and_seals_the_next",
    ),
]


def run(kind: type, test: str, folder: Path, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one test of the suite over a driver, or over the driver with another CloudKey."""
    is_file = issubclass(kind, CloudKeyFile)
    if not is_file:
        monkeypatch.setattr(gcp, "CloudKey", kind)

    class Suite(test_cloud_kms.TestCloudKeyFile):
        def opened(self) -> CloudKeyFile:
            made: CloudKeyFile = (kind if is_file else CloudKeyFile)(
                self.path, test_cloud_kms.CRYPTO_KEY, is_new=lambda: self.is_new
            )
            return made

    # The suite names the driver itself where its settings change.
    monkeypatch.setattr(test_cloud_kms, "CloudKeyFile", kind if is_file else CloudKeyFile)
    cloud.kms.make_key(test_cloud_kms.CRYPTO_KEY)
    suite = Suite()
    suite.path, suite.cloud, suite.is_new = folder / "keyrings" / "kek.json", cloud, True
    getattr(suite, test)()


@pytest.mark.parametrize(("kind", "test"), BROKEN, ids=lambda each: getattr(each, "__name__", each))
def test_a_broken_driver_is_caught(
    kind: type, test: str, tmp_path: Path, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((AssertionError, AudobonError, KeyError, ValueError, pytest.fail.Exception)):
        run(kind, test, tmp_path, cloud, monkeypatch)


@pytest.mark.parametrize("test", sorted({test for _, test in BROKEN}))
def test_the_sound_driver_passes_the_same_tests(
    test: str, tmp_path: Path, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CloudKeyFile, test, tmp_path, cloud, monkeypatch)
