"""Stores in a bucket of the fake, for tests: by the real clock, and impatient."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from audobon.storage.gcp import BucketObjectStore
from audobon.storage.port import Rights
from fakes.cloud import FakeCloud

BUCKET = "heron"
_QUICKLY = DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.002)


class BucketDesk:
    """A bucket and what opens stores in it.

    kind             the driver's class, or one that is broken
    patience_seconds for how long what fails is tried again, at once
    """

    def __init__(
        self, cloud: FakeCloud, root: Path, *, prefix: str = "", kind: type[BucketObjectStore] | None = None
    ) -> None:
        self.cloud = cloud
        self.spool = root / "spool"
        self.prefix = prefix
        self.patience_seconds = 20.0
        self._kind = kind or BucketObjectStore
        self._clients: list[storage.Client] = []
        cloud.storage.add_bucket(BUCKET, softDeletePolicy={"retentionDurationSeconds": "0"})

    def open(self, rights: Rights = "full") -> BucketObjectStore:
        client = storage.Client(
            "p", credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}
        )
        client._bucket_metadata_cache = None
        self._clients.append(client)
        retry = _QUICKLY.with_timeout(self.patience_seconds)
        return self._kind(BUCKET, self.prefix, spool=self.spool, rights=rights, client=client, retry=retry)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.cloud.http.port}"

    def kept(self) -> int:
        """Count objects, uploads under way, and what lies in the spool."""
        files = [path for path in self.spool.rglob("*") if path.is_file()]
        uploads = self.cloud.storage.sessions.unfinished
        return len(self.cloud.storage.names_in(BUCKET)) + len(uploads) + len(files)

    def calls(self, *methods: str) -> list[str]:
        """Return which methods were called, in order; of those named, or all."""
        return [call.method for call in self.cloud.http.calls if not methods or call.method in methods]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@contextmanager
def bucket_desk(root: Path, **options: Any) -> Iterator[BucketDesk]:
    """Return a desk with a cloud of its own."""
    with FakeCloud(clock=time.time) as cloud:
        desk = BucketDesk(cloud, root, **options)
        yield desk
        desk.close()
