"""The conformance suite has teeth: a store that breaks one promise fails the tests of that promise."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

import pytest

from audobon.storage import embedded
from audobon.storage.embedded import FolderObjectStore
from audobon.storage.port import ObjectInfo, Tier


class LastOneWins(FolderObjectStore):
    @contextmanager
    def _create(self, name: str, tier: Tier) -> Iterator[IO[bytes]]:
        path = self._ready(name, tier)
        temporary = path.with_name(f".{os.urandom(8).hex()}.part")
        try:
            with temporary.open("xb") as file:
                yield file
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


class WritesInPlace(FolderObjectStore):
    @contextmanager
    def _create(self, name: str, tier: Tier) -> Iterator[IO[bytes]]:
        if self._find(name) is not None:
            raise embedded._exists(name)
        with self._ready(name, tier).open("wb") as file:
            yield file


class LooksAtOneTier(FolderObjectStore):
    def _find(self, name: str, *, ahead: Tier | None = None) -> tuple[Tier, Path] | None:
        found = super()._find(name, ahead=ahead)
        return None if found is not None and found[0] == "archive" and ahead is None else found


class TrustsNames(FolderObjectStore):
    def _path(self, name: str, tier: Tier) -> Path:
        return self._folders[tier] / name


class ListsAsItComes(FolderObjectStore):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(reversed(list(super().list(prefix))))


class ListsHalfFinished(FolderObjectStore):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        found = {info.name: info for info in super().list(prefix)}
        for path, status in embedded._files(self.folder, unfinished=True):
            name = path.relative_to(self.folder).as_posix()
            found[name] = ObjectInfo(name, status.st_size, status.st_mtime, "standard")
        yield from (found[name] for name in sorted(found))


class LetsAllDoAll(FolderObjectStore):
    def _demand_full(self, deed: str, name: str) -> None:
        pass


class LetsReadersCreate(FolderObjectStore):
    def create(self, name: str, *, tier: Tier = "standard") -> AbstractContextManager[IO[bytes]]:
        return self._create(name, tier)


class ForgetsWhenItWasMade(FolderObjectStore):
    def set_tier(self, name: str, tier: Tier) -> None:
        path = self.path(name)
        if self.stat(name).tier != tier:
            target = self._ready(name, tier)
            shutil.copyfile(path, target)
            os.utime(target, (1_000_000_000, 1_000_000_000))
            path.unlink()


class CopiesWithoutRemoving(FolderObjectStore):
    def _remove_but(self, kept: Tier | None, name: str) -> bool:
        return True if kept is not None else super()._remove_but(kept, name)


class MovesWithAGap(FolderObjectStore):
    def set_tier(self, name: str, tier: Tier) -> None:
        path = self.path(name)
        aside = self.folder / ".aside"
        path.rename(aside)
        aside.rename(self._ready(name, tier))


class ClearsTooMuch(FolderObjectStore):
    def clear_unfinished(self, *, before: float) -> int:
        return super().clear_unfinished(before=before + 86_400)


class ClearsNothing(FolderObjectStore):
    def clear_unfinished(self, *, before: float) -> int:
        self._demand_full("clear", "unfinished objects")
        return 0


BROKEN = {
    LastOneWins: "a_name_is_taken_for_good",
    WritesInPlace: "nothing_is_seen_before",
    LooksAtOneTier: "who_comes_second",
    TrustsNames: "lead_elsewhere",
    ListsAsItComes: "several_processes",
    ListsHalfFinished: "nothing_is_seen_before",
    LetsAllDoAll: "only_read",
    LetsReadersCreate: "only_read",
    ForgetsWhenItWasMade: "changes_its_tier",
    CopiesWithoutRemoving: "changes_its_tier",
    MovesWithAGap: "moving_and_listing",
    ClearsTooMuch: "is_killed",
    ClearsNothing: "is_killed",
}
"""Each broken store, and what the name of the first test that catches it holds."""

OPENING = """
import sys
sys.path[:0] = {head}
from pathlib import Path
import test_object_store_teeth as teeth

def open_store():
    return teeth.{name}({{tier: Path(path) for tier, path in {folders}.items()}})
"""

SUITE = """
from test_object_store import TestThreeFolders as Whole
import pytest, test_object_store_teeth as teeth
from test_object_store_teeth import OPENING

class TestBroken(Whole):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda rights="full": teeth.{name}(self.folders(tmp_path), rights=rights)

    @pytest.fixture
    def opening(self, tmp_path):
        return OPENING.format(
            head={path!r}, name="{name}", folders={{k: str(v) for k, v in self.folders(tmp_path).items()}}
        )

del Whole
"""


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_suite_catches(broken: type[FolderObjectStore], tmp_path: Path) -> None:
    caught = BROKEN[broken]
    here = Path(__file__).parent
    suite = tmp_path / "test_broken.py"
    suite.write_text(SUITE.format(name=broken.__name__, path=[str(here), str(here.parent)]))
    (tmp_path / "conftest.py").write_text((here.parent / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", str(suite)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert caught in done.stdout.rpartition("FAILED ")[2]
