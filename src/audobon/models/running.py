"""How sessions are opened and run here, beside their threads: what `audobon doctor --tune` finds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

WEIGHTS = "weights.bin"


class Running(msgspec.Struct, frozen=True):
    """The choices that change no pixel.

    spinning    waiting threads look again and again instead of sleeping
    cores       processors that the threads of a model may use; none named: wherever the system puts them
    weights     mapped: pages of the file come in when they are used, and may go again; read: all at once
    read_ahead  the system is asked for the weights before they are needed
    """

    spinning: bool = False
    cores: tuple[int, ...] = ()
    weights: Literal["mapped", "read"] = "mapped"
    read_ahead: bool = False


@contextmanager
def opening(graph: Path, options: Any, running: Running) -> Iterator[None]:
    """Open a session within the block as `running` says; what was read is let go of at its end.

    graph    a prepared model, its weights beside it
    options  those of the session; changed
    """
    weights = graph.parent / WEIGHTS
    if running.read_ahead:
        ask_for(weights)
    if running.weights == "read" and weights.is_file():
        data = weights.read_bytes()
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [data], [len(data)])
    if not running.cores or not hasattr(os, "sched_setaffinity"):
        yield
        return
    # The threads of the session are started by this one, and inherit where it may run.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before & set(running.cores) or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ask_for(file: Path) -> None:
    """Ask the system to have a file in memory soon; returns at once, whatever comes of it."""
    if not hasattr(os, "posix_fadvise"):
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        # A model so small that its weights are in the graph.
        return
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
