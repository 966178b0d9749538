"""The conformance suite has teeth for buckets too: each broken driver fails the test of what it breaks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from audobon.storage import gcp
from audobon.storage.gcp import BucketObjectStore
from audobon.storage.gcp_spool import Spool
from audobon.storage.port import ObjectInfo, Tier


class LastOneWins(BucketObjectStore):
    def _upload(self, name: str, tier: Tier, file: IO[bytes], *, generation: int) -> None:
        file.seek(0)
        self._bucket.blob(self._base + name).upload_from_file(file)


class UploadsWhileItIsWritten(BucketObjectStore):
    @contextmanager
    def _create(self, name: str, tier: Tier) -> Iterator[IO[bytes]]:
        with super()._create(name, tier) as file:
            self._bucket.blob(self._base + name).upload_from_string(b"")
            yield file


class LooksAtNoFolders(BucketObjectStore):
    def _demand_room(self, name: str) -> None:
        pass


class TrustsNames(BucketObjectStore):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        gcp.demand_name = lambda name: name


class ListsAsItComes(BucketObjectStore):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(reversed(list(super().list(prefix))))


class ListsWithThePrefix(BucketObjectStore):
    def _info(self, blob: Any) -> ObjectInfo:
        info = super()._info(blob)
        return ObjectInfo(blob.name, info.size_bytes, info.created_at, info.tier)


class LetsAllDoAll(BucketObjectStore):
    def _demand_full(self, deed: str, name: str) -> None:
        pass


class LetsReadersCreate(BucketObjectStore):
    def create(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        return self._create(name, tier)


class ForgetsWhenItWasMade(BucketObjectStore):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        gcp._created_at = lambda blob: blob.time_created.timestamp()


class MovesWithAGap(BucketObjectStore):
    def _rewrite(self, name: str, blob: Any, tier: Tier) -> bool:
        data = blob.download_as_bytes()
        blob.delete()
        with self._create(name, tier) as file:
            file.write(data)
        return True


class ReadsBlockByBlock(BucketObjectStore):
    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        blob = self._demand(name)
        with blob.open("rb", chunk_size=1 << 18) as file:
            yield file


class _Leaving(Spool):
    @contextmanager
    def file(self) -> Iterator[IO[bytes]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".object.{os.getpid()}-{os.urandom(4).hex()}.part").open("x+b") as file:
            yield file


class LeavesWhatItSpooled(BucketObjectStore):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._spool = _Leaving(options["spool"])


class ClearsTooMuch(BucketObjectStore):
    def clear_unfinished(self, *, before: float) -> int:
        return super().clear_unfinished(before=before + 86_400)


class ClearsNothing(BucketObjectStore):
    def clear_unfinished(self, *, before: float) -> int:
        self._demand_full("clear", "unfinished objects")
        return 0


BROKEN = {
    LastOneWins: "a_name_is_taken_for_good",
    UploadsWhileItIsWritten: "nothing_is_seen_before",
    LooksAtNoFolders: "lie_within_another",
    TrustsNames: "name_that_might_lead_elsewhere",
    ListsAsItComes: "order_of_their_names",
    ListsWithThePrefix: "prefix_may_end_within",
    LetsAllDoAll: "only_create",
    LetsReadersCreate: "only_read",
    ForgetsWhenItWasMade: "changes_its_tier",
    MovesWithAGap: "moving_and_listing",
    ReadsBlockByBlock: "reader_keeps",
    LeavesWhatItSpooled: "a_block_that_fails",
    ClearsTooMuch: "is_killed",
    ClearsNothing: "is_killed",
}
"""Each broken driver, and what the name of the test that catches it holds."""

SUITE = """
from test_bucket_store import TestBelowAPrefix as Whole
import pytest, test_bucket_store_teeth as teeth
from bucket_desk import bucket_desk

class TestBroken(Whole):
    @pytest.fixture
    def desk(self, tmp_path):
        with bucket_desk(tmp_path, prefix=self.prefix, kind=teeth.{name}) as desk:
            yield desk

del Whole
"""


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_suite_catches(broken: type[BucketObjectStore], tmp_path: Path) -> None:
    done = run_suite(tmp_path, broken, only=BROKEN[broken])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    # By what it promises, not because it could not be run.
    assert "error" not in done.stdout.splitlines()[-1]


def test_the_suite_passes_what_is_whole(tmp_path: Path) -> None:
    done = run_suite(tmp_path, BucketObjectStore, only=" or ".join(sorted(set(BROKEN.values()))))
    assert done.returncode == 0, done.stdout + done.stderr


def run_suite(root: Path, kind: type[BucketObjectStore], *, only: str) -> "subprocess.CompletedProcess[str]":
    here = Path(__file__).parent
    suite = root / "test_broken.py"
    suite.write_text(SUITE.format(name=kind.__name__))
    (root / "conftest.py").write_text((here.parent / "conftest.py").read_text())
    options = ["-x", "-q", "-p", "no:cacheprovider", "-k", only]
    command = [sys.executable, "-m", "pytest", *options, str(suite)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False)
