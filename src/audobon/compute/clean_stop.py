"""Tells whether the last engine of a data folder ended by itself, or was killed, or lost its power."""

from pathlib import Path

from audobon.atomic import write_bytes


class RunningMark:
    """A mark that lies in the data folder while an engine has it; one that ends well takes it away."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "locks" / "engine.running"
        self._is_inherited = True

    @property
    def is_left(self) -> bool:
        """Whether the last engine did not end by itself; asked while holding the engine's lock."""
        return self._path.exists()

    def begin(self) -> None:
        """Note that an engine has the folder, through to the disk.

        A mark that an earlier engine left stays, also after `end`, until somebody looked at what that left.
        """
        self._is_inherited = self._path.exists()
        if not self._is_inherited:
            write_bytes(self._path, b"")

    def end(self) -> None:
        """Note that the engine ended well."""
        if not self._is_inherited:
            self.clear()

    def clear(self) -> None:
        """Note that everything was looked at."""
        self._path.unlink(missing_ok=True)
