"""What planning knows of this machine beside the cards: tuning, observed memory, the device."""

from pathlib import Path

import msgspec

from audobon.compute.pace import Paces, paces_of
from audobon.compute.placement import PageLoad, Peaks, Placement, told_device
from audobon.compute.tuning import Tuning, load_tuning, threads_to_use
from audobon.compute.work import place
from audobon.models.device_trial import foretell
from audobon.models.observed import PeakMemory
from audobon.pages.operations import Settings
from audobon.processes import usable_threads
from audobon.queue.port import Queue


def threads_here(setting: int, tuning: Tuning) -> int:
    """Return the threads that models run with on this machine."""
    return threads_to_use(setting, tuning) or usable_threads()


def observed_peaks(folder: Path, *, threads: int) -> Peaks:
    """Return what models take: by their cards, corrected by the runs of this machine.

    threads  as set; 0: as tuned, else all there are
    """
    return PeakMemory(folder / "models", threads=threads_here(threads, load_tuning(folder))).predict


class Foresight:
    """Places pages as a worker of this machine would, and says how long they will take.

    queue    whose finished pages tell how fast the machine is; None: nothing was done yet
    threads  as set; 0: as tuned, else all there are
    device   what models shall run on: auto, cpu or cuda
    """

    def __init__(self, folder: Path, queue: Queue | None, *, threads: int, device: str) -> None:
        self._tuning = load_tuning(folder)
        threads = threads_here(threads, self._tuning)
        self.peaks: Peaks = PeakMemory(folder / "models", threads=threads).predict
        self.choice = foretell(device)
        self._paces = Paces((), threads=threads) if queue is None else paces_of(queue, threads=threads)

    def place(self, page: PageLoad, settings: Settings, budget_bytes: int) -> Placement:
        """Return how a page will run, with its time; MemoryTooSmall when it does not fit."""
        placement = place(page, settings, budget_bytes, tuning=self._tuning, peaks=self.peaks)
        if placement.model:
            placement = told_device(placement, self.choice)
        return msgspec.structs.replace(placement, seconds=self._paces.predict(placement))
