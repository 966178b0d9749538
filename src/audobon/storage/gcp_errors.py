"""What Cloud Storage refuses, in the words of the port of object stores."""

from collections.abc import Iterator
from contextlib import contextmanager

from audobon.errors import CorruptBlob, ObjectNotFound, OnHold, Unavailable
from audobon.gcloud.errors import google_errors

TIMEOUTS_SECONDS = (10.0, 60.0)
"""For how long an answer is waited for: to connect, and for the next bytes."""

# As uploads tell nothing but words: the reason "retentionPolicyNotMet" comes with deletions alone.
_KEPT = ("retention policy", "Temporary hold", "Event-Based hold")
_NO_BUCKET = "bucket does not exist"


@contextmanager
def bucket_errors(doing: str, name: str, where: str) -> Iterator[None]:
    """Turn what Cloud Storage says in the block into our errors.

    name    of the object; "" when it is about all of them
    where   the bucket and the prefix, as gs://BUCKET/PREFIX
    raises  ObjectNotFound, Unavailable when there is no bucket, OnHold, CorruptBlob, and as `google_errors`
    """
    with google_errors(doing, f"{where}/{name}" if name else where):
        from google.api_core.exceptions import BadRequest, Forbidden, NotFound

        try:
            yield
        except NotFound as error:
            if name and _NO_BUCKET not in str(error.message):
                raise missing(name) from error
            raise Unavailable(
                f"the bucket of {where} is not there", hint="is its name right, and the account's project?"
            ) from error
        except Forbidden as error:
            if any(words in str(error.message) for words in _KEPT):
                raise OnHold(
                    f"{where}/{name} must be kept still: {error.message}",
                    hint="the bucket has a retention policy, or the object a hold",
                ) from error
            raise
        except BadRequest as error:
            if "doesn't match calculated" in str(error.message):
                raise CorruptBlob(
                    f"{name} was damaged on its way to {where}, and was not taken",
                    hint="run the same command again",
                ) from error
            raise


def missing(name: str) -> ObjectNotFound:
    """Return the error for an object that is not there."""
    return ObjectNotFound(f"there is no object {name}")
