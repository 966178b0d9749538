"""What is compared, and what each comparison must show."""

from typing import Any, NamedTuple


class Comparison(NamedTuple):
    """Ours against a peer in one measure.

    goal    G1 to G9; "" when it only shows where others stand
    factor  how many times better ours is to be
    peer_settings  of the peer, where they differ
    """

    goal: str
    ours: str
    peer: str
    measure: str
    settings: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    factor: float = 0.0
    peer_settings: dict[str, Any] | None = None

    @property
    def title(self) -> str:
        """What is measured, in words."""
        words = {"workers": "worker", "count": "producer"}
        numbers = [f"{number} {words[key]}{'s' * (number > 1)}" for key, number in self.settings.items()]
        if self.peer_settings is not None:
            numbers += ["against", *(f"{number}" for number in self.peer_settings.values())]
        return f"{self.measure} {' '.join(numbers)}".rstrip()


_W1, _W2, _P8 = {"workers": 1}, {"workers": 2}, {"count": 8}

COMPARISONS = (
    Comparison("G1", "ours sqlite", "huey sqlite", "single", {}, 1.5),
    Comparison("G1", "ours sqlite", "celery always", "single", {}, 5.0),
    Comparison("G1", "ours sqlite", "huey sqlite", "producers", _P8, 5.0),
    Comparison("G2", "ours sqlite", "pgqueuer", "bulk", {}, 3.0),
    Comparison("G2", "ours postgres", "pgqueuer", "bulk", {}, 2.0),
    Comparison("G3", "ours sqlite", "pgqueuer", "backlog", _W1, 1.5),
    Comparison("G3", "ours sqlite", "pgqueuer", "backlog", _W2, 1.5),
    Comparison("G3", "ours postgres", "pgqueuer", "backlog", _W1, 1.2),
    Comparison("G3", "ours postgres", "pgqueuer", "backlog", _W2, 1.2),
    Comparison("G4", "ours sqlite exact", "celery always", "backlog", _W1, 5.0),
    Comparison("G4", "ours sqlite exact", "huey sqlite", "backlog", _W1, 1.2),
    Comparison("G4", "ours sqlite exact", "celery always", "backlog", _W2, 5.0),
    Comparison("G4", "ours sqlite exact", "huey sqlite", "backlog", _W2, 1.2),
    # What a second worker gains.
    Comparison("G4", "ours sqlite exact", "ours sqlite exact", "backlog", _W2, 1.5, _W1),
    Comparison("G5", "ours sqlite", "celery always", "pickup", {}, 2.0),
)

CONTEXT = (
    Comparison("", "ours sqlite", "dbos sqlite", "single"),
    Comparison("", "ours sqlite", "rq always", "single"),
    Comparison("", "ours sqlite", "dramatiq always", "single"),
    Comparison("", "ours sqlite", "celery everysec", "single"),
    Comparison("", "ours postgres", "pgqueuer", "single"),
    Comparison("", "ours postgres", "procrastinate", "single"),
    Comparison("", "ours sqlite", "rq always", "bulk"),
    Comparison("", "ours sqlite exact", "dbos sqlite", "backlog", _W1),
    Comparison("", "ours sqlite exact", "rq always", "backlog", _W1),
    Comparison("", "ours sqlite exact", "dramatiq always", "backlog", _W1),
    Comparison("", "ours sqlite exact", "celery everysec", "backlog", _W1),
    Comparison("", "ours postgres exact", "procrastinate", "backlog", _W1),
    Comparison("", "ours postgres", "pgqueuer", "pickup"),
)

PICKUP_P99_MILLISECONDS = 10.0
CLAIM_P50_MILLISECONDS, CLAIM_P99_MILLISECONDS, NOTHING_FITS_MILLISECONDS = 1.0, 5.0, 0.1
FEWER_SWAPS, SHORTER_MAKESPAN = 5.0, 2.0
