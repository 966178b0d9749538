"""Runs one measure of one contestant once, in a process, a folder and a database of its own."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lineup import OURS, PEERS, Contestant
from postgres_server import PostgresServer
from probes import Probe

_HERE = Path(__file__).parent
_MOST_SECONDS = 300


class SliceFailed(Exception):
    """A slice gave a wrong answer or none."""


class Slice(NamedTuple):
    """The outcome of one slice.

    rate          tasks per second; of a pick-up, pick-ups per second of waiting (its median)
    milliseconds  of a pick-up, every one, sorted
    """

    rate: float
    tasks: int
    seconds: float
    probes: list[Probe]
    milliseconds: list[float]


class Runner:
    """Runs slices; holds the PostgreSQL server they share.

    postgres  None when there is none
    """

    def __init__(self, postgres: PostgresServer | None) -> None:
        self.postgres = postgres

    def run(
        self, contestant: Contestant, measure: str, arguments: dict[str, Any], *, under: Sequence[str] = ()
    ) -> Slice:
        """Run a slice.

        under   a command to run it under
        raises  SliceFailed with the last words of its processes
        """
        folder = tempfile.mkdtemp(prefix="audobon-bench-")
        url = ""
        if contestant.server == "postgres" and self.postgres is not None:
            url = self.postgres.create_database()
        try:
            outcome = _run(contestant, measure, arguments, folder, url, under)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if url and self.postgres is not None:
                self.postgres.drop_database(url)
        waits = outcome.get("milliseconds", [])
        seconds = outcome.get("seconds", sum(waits) / 1000)
        rate = 1000 / waits[len(waits) // 2] if waits else outcome["tasks"] / seconds
        return Slice(rate, outcome["tasks"], seconds, outcome["probes"], waits)


def _run(
    contestant: Contestant,
    measure: str,
    arguments: dict[str, Any],
    folder: str,
    url: str,
    under: Sequence[str],
) -> dict[str, Any]:
    order = {
        "system": contestant.adapter,
        "measure": measure,
        "arguments": arguments,
        "place": [folder, url, contestant.options],
    }
    python = OURS if contestant.is_ours else PEERS
    process = subprocess.Popen(
        [*under, str(python), str(_HERE / "measure_once.py"), json.dumps(order)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_HERE), "PYTHONDONTWRITEBYTECODE": "1", "HOME": folder},
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        # It ends its own children when told to.
        process.terminate()
        output, errors = process.communicate()
    if process.returncode != 0:
        logs = [path.read_text(errors="replace")[-1500:] for path in Path(folder).glob("*.log")]
        what = f"{contestant.name}, {measure} {arguments}, ended with {process.returncode}"
        raise SliceFailed("\n".join([what, errors[-1500:], *logs]))
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found
