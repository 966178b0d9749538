"""The models that users brought: added, removed with a way back, restored.

Killing a process at any instant leaves each of them as it was or as it was to become.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audobon.atomic import (
    clear_leftovers,
    disk_errors,
    make_private_folder,
    sync_folder,
    temporary_beside,
    write_bytes,
    writing,
)
from audobon.clock import utc_now
from audobon.errors import Conflict, CorruptModel, InvalidInput, ModelNotFound
from audobon.models.card import Card, built_in_names, parse_card, unknown_model
from audobon.models.card_text import card_text
from audobon.models.own_cards import CARD, graph_path, is_name, own_folder, own_names, read_own_card
from audobon.models.removed import RemovedModel, folder_bytes, removed_models, trash_folder, trash_name
from audobon.models.store import prepared_folder
from audobon.processes import FileLock

KEPT_DAYS = 30
"""How long a removed model can be had back."""

_DAY_SECONDS = 86_400


class OwnModels:
    """The folder of the user's own models, beside that of the prepared ones."""

    def __init__(self, models_folder: Path) -> None:
        self._models_folder = models_folder
        self._folder = own_folder(models_folder)
        self._trash = trash_folder(self._folder)

    def check_free(self, name: str, *, replace: bool) -> None:
        """Raise Conflict when a model of this name is there already and may not be replaced."""
        if not replace and self._place(name).is_dir():
            raise Conflict(
                f"there is a model named {name} already", hint="add --replace, or give it another name"
            )

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """Lend an empty folder on the same disk; it goes with the block, and what killed processes left."""
        with disk_errors(self._folder):
            make_private_folder(self._folder)
            for part in (*self._folder.glob(".*.part"), *self._trash.glob(".*.part")):
                clear_leftovers(part.with_name(part.name[1:].partition(".")[0]))
            folder = temporary_beside(self._place(name))
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, card: Card, staged: Path, *, replace: bool) -> bool:
        """Make a model known whose file lies in a staged folder; return whether another was replaced.

        What is replaced can be had back. A model is the old one until this instant and the new one after it.
        raises  Conflict when the name was taken meanwhile
        """
        ready = staged / card.name
        with self._lock(), disk_errors(self._place(card.name)):
            write_bytes(ready / CARD, card_text(card).encode())
            place = self._place(card.name)
            self.check_free(card.name, replace=replace)
            if not (was_there := place.is_dir()):
                ready.rename(place)
                sync_folder(self._folder)
            elif self._is_sound(card.name):
                self._copy_to_trash(card.name)
                self._exchange(card, ready)
            else:
                # Nobody can use it, so nobody misses it for a moment.
                self._move_to_trash(card.name)
                ready.rename(place)
                sync_folder(self._folder)
            self._keep_prepared(card, staged / "prepared")
            self._forget_old()
        return was_there

    def remove(self, name: str) -> None:
        """Put a model aside; ModelNotFound when there is none, InvalidInput when it ships with Audobon."""
        with self._lock():
            self.check_live(name)
            with disk_errors(self._place(name)):
                self._move_to_trash(name)
            self._drop_prepared(name)
            self._forget_old()

    def purge(self, name: str, *, is_live_too: bool) -> int:
        """Delete what can be had back of a model for good; return how many bytes came free.

        is_live_too  the model itself too, when it is there
        """
        with self._lock(), disk_errors(self._place(name)):
            if is_live_too and self.is_live(name):
                self._move_to_trash(name)
                self._drop_prepared(name)
            found = [item for item in self.removed() if item.name == name]
            if not found:
                raise self._nothing_to_remove(name)
            for item in found:
                self._delete(item)
            self._forget_old()
        return sum(item.size_bytes for item in found)

    def look(self, name: str) -> tuple[bool, int, int]:
        """Return whether a model is there, how many removed ones of its name are, and their bytes in all.

        raises  as `remove` when there is neither
        """
        found = [item for item in self.removed() if item.name == name]
        is_live = self.is_live(name)
        if not is_live and not found:
            raise self._nothing_to_remove(name)
        live_bytes = folder_bytes(self._place(name)) if is_live else 0
        return is_live, len(found), live_bytes + sum(item.size_bytes for item in found)

    def check_live(self, name: str) -> None:
        """Raise ModelNotFound when there is no such model, InvalidInput when it ships with Audobon."""
        if not self.is_live(name):
            raise self._nothing_to_remove(name)

    def is_live(self, name: str) -> bool:
        """Tell whether there is a model of this name, not only removed ones."""
        return is_name(name) and self._place(name).is_dir()

    def restore(self, name: str, *, replace: bool = False) -> bool:
        """Bring back the model of this name that was removed or replaced last; return whether one made way.

        replace  let it take the place of a model that has the name now, which can then be had back in turn
        raises   ModelNotFound when there is none, Conflict when another has the name now
        """
        with self._lock(), disk_errors(self._place(name)):
            found = [item for item in self.removed() if item.name == name]
            if not found:
                raise ModelNotFound(f"no removed model is named {name!r}", hint="audobon models restore")
            back, place = Path(found[0].path), self._place(name)
            if not (was_there := place.is_dir()):
                back.rename(place)
            elif not replace:
                raise Conflict(f"there is a model named {name} now", hint="add --replace to exchange the two")
            elif self._is_sound(name) and (card := _card_in(back)) is not None:
                self._copy_to_trash(name)
                self._exchange(card, back)
                self._delete(found[0])
            else:
                self._move_to_trash(name)
                back.rename(place)
            sync_folder(self._folder)
            return was_there

    def removed(self) -> list[RemovedModel]:
        """Return what can be had back, the last removed first."""
        return removed_models(self._folder)

    def _place(self, name: str) -> Path:
        return self._folder / (name if is_name(name) else ".no-name")

    def _lock(self) -> FileLock:
        return FileLock(self._folder / ".lock", purpose="changing your own models", wait=True)

    def _is_sound(self, name: str) -> bool:
        try:
            return read_own_card(self._folder, name) is not None
        except CorruptModel:
            return False

    def _exchange(self, card: Card, ready: Path) -> None:
        """Put a model in the place of a sound one: its file beside the old, then the card that names it."""
        place = self._place(card.name)
        graph = graph_path(self._folder, card)
        beside = temporary_beside(graph)
        _second_name(ready / graph.name, beside)
        beside.replace(graph)
        # Two names of one file: then the system leaves both.
        beside.unlink(missing_ok=True)
        sync_folder(place)
        with writing(place / CARD) as file:
            file.write((ready / CARD).read_bytes())
        # The old file, and what killed processes left.
        for path in place.iterdir():
            if path.name not in (CARD, graph.name):
                path.unlink()

    def _move_to_trash(self, name: str) -> None:
        self._trash.mkdir(exist_ok=True)
        self._place(name).rename(self._trash / trash_name(name, utc_now()))
        sync_folder(self._folder)
        sync_folder(self._trash)

    def _copy_to_trash(self, name: str) -> None:
        """Give a model's files second names in the trash, all of them or none."""
        self._trash.mkdir(exist_ok=True)
        clear_leftovers(self._trash / name)
        folder = temporary_beside(self._trash / name)
        folder.mkdir()
        card = _card_in(self._place(name))
        assert card is not None
        for path in (self._place(name) / CARD, graph_path(self._folder, card)):
            _second_name(path, folder / path.name)
        sync_folder(folder)
        folder.rename(self._trash / trash_name(name, utc_now()))
        sync_folder(self._trash)

    def _keep_prepared(self, card: Card, prepared: Path) -> None:
        """Save the first use the work of preparing; derived, so it does not matter when it cannot be kept."""
        source, target = prepared_folder(card, prepared), prepared_folder(card, self._models_folder)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        except OSError:
            return

    def _drop_prepared(self, name: str) -> None:
        # Derived: made anew when the model comes back.
        shutil.rmtree(self._models_folder / name, ignore_errors=True)

    def _forget_old(self) -> None:
        for item in self.removed():
            if item.removed_at < utc_now() - KEPT_DAYS * _DAY_SECONDS:
                self._delete(item)

    def _delete(self, item: RemovedModel) -> None:
        """Remove what can be had back for good: out of sight in one step, so nobody finds half of it."""
        doomed = temporary_beside(self._trash / item.name)
        Path(item.path).rename(doomed)
        if doomed.is_symlink():
            # Somebody linked it here: what it leads to is theirs.
            doomed.unlink()
        else:
            shutil.rmtree(doomed)

    def _nothing_to_remove(self, name: str) -> InvalidInput | ModelNotFound:
        if name in built_in_names():
            return InvalidInput(f"{name} ships with Audobon; only models that were added can be removed")
        if any(item.name == name for item in self.removed()):
            return ModelNotFound(
                f"the model {name} was removed already",
                hint=f"audobon models restore {name}, or audobon models remove --purge {name}",
            )
        return unknown_model(name, own_names(self._folder))


def _card_in(folder: Path) -> Card | None:
    try:
        return parse_card((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _second_name(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:
        # Some file systems know no second names.
        shutil.copyfile(path, other)
