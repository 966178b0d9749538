"""Every error Audobon raises, and what each surface does with it.

The tree (a test keeps this picture equal to the classes):

AudobonError
├── InvalidInput
│   ├── UnreadablePicture
│   ├── UnsupportedPicture
│   ├── PictureTooLarge
│   ├── UnsafeArchive
│   ├── UnsupportedDocument
│   ├── UnsafeModel
│   └── UnknownOperation
├── Misconfigured
│   ├── NewerFormat
│   └── CloudMisconfigured
├── NotFound
│   ├── DocumentNotFound
│   ├── ModelNotFound
│   ├── BlobNotFound
│   ├── ObjectNotFound
│   ├── SubjectNotFound
│   ├── SubjectErased
│   ├── BackupNotFound
│   ├── KeyringLost
│   ├── JobNotFound
│   ├── QueueNotFound
│   ├── TaskNotFound
│   ├── ScheduleNotFound
│   └── CloudNotFound
├── Conflict
│   ├── OutputExists
│   ├── ObjectExists
│   ├── OnHold
│   ├── ForeignRepository
│   ├── ClockBehind
│   ├── AlreadyRunning
│   ├── LeaseLost
│   ├── QueueDrained
│   └── CloudConflict
├── Denied
│   ├── WrongPassphrase
│   └── CloudDenied
├── Exhausted
│   ├── MemoryTooSmall
│   ├── DiskFull
│   ├── DeadlineExceeded
│   ├── Cancelled
│   └── QuotaExceeded
├── Unavailable
│   ├── WorkerDied
│   └── CloudUnavailable
├── Corrupt
│   ├── CorruptModel
│   ├── CorruptBlob
│   ├── CorruptKeyring
│   └── CorruptBackup
└── PartlyFailed
    └── BelowThreshold
"""

from typing import ClassVar


class AudobonError(Exception):
    """Something Audobon can name went wrong.

    code   stable, for programs
    http   status an API answers with
    exit   status a command ends with
    retry  may the same call succeed later, unchanged?
    hint   what to do next, as a sentence or a command; None when there is nothing
    """

    code: ClassVar[str] = "error"
    http: ClassVar[int] = 500
    exit: ClassVar[int] = 1
    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(AudobonError):
    """What was handed in cannot be used as it is."""

    code, http, exit = "invalid_input", 422, 2


class UnreadablePicture(InvalidInput):
    """The bytes are not a picture, or end too early."""

    code = "unreadable_picture"


class UnsupportedPicture(InvalidInput):
    """A sound picture of a kind that would be harmed or cannot be handled."""

    code = "unsupported_picture"


class PictureTooLarge(InvalidInput):
    """The picture would need more pixels, memory or time than allowed."""

    code = "picture_too_large"


class UnsafeArchive(InvalidInput):
    """The archive would escape its folder or swell beyond its limits."""

    code = "unsafe_archive"


class UnsupportedDocument(InvalidInput):
    """Neither a picture, a folder of pictures nor a CBZ/ZIP book."""

    code = "unsupported_document"


class UnsafeModel(InvalidInput):
    """The file is no ONNX model, or does not prove to be harmless and what its card says."""

    code = "unsafe_model"


class UnknownOperation(InvalidInput):
    """No operation has this name, or it has no such setting."""

    code = "unknown_operation"


class Misconfigured(AudobonError):
    """The configuration contradicts itself or the machine."""

    code, http, exit = "misconfigured", 500, 3


class NewerFormat(Misconfigured):
    """A newer version of Audobon wrote it."""

    code = "newer_format"


class CloudMisconfigured(Misconfigured):
    """Google Cloud cannot do it as the project or the request stands: an API is off, a name is wrong."""

    code = "cloud_misconfigured"


class NotFound(AudobonError):
    """The thing named does not exist."""

    code, http, exit = "not_found", 404, 4


class DocumentNotFound(NotFound):
    """The document to work on does not exist, or holds no pages."""

    code = "document_not_found"


class ModelNotFound(NotFound):
    """No model has this name, or its package is not installed."""

    code = "model_not_found"


class BlobNotFound(NotFound):
    """Storage holds nothing under this key."""

    code = "blob_not_found"


class ObjectNotFound(NotFound):
    """A store of objects holds nothing under this name."""

    code = "object_not_found"


class SubjectNotFound(NotFound):
    """No person or project has this name."""

    code = "subject_not_found"


class SubjectErased(NotFound):
    """What was asked for was erased for good, with its key."""

    code, http = "subject_erased", 410


class BackupNotFound(NotFound):
    """No backup has this id, or reaches back so far."""

    code = "backup_not_found"


class KeyringLost(NotFound):
    """What unlocks the keyring is gone; the recovery key can make another."""

    code = "keyring_lost"


class JobNotFound(NotFound):
    """No job has this id."""

    code = "job_not_found"


class QueueNotFound(NotFound):
    """No queue has this name."""

    code = "queue_not_found"


class TaskNotFound(NotFound):
    """No task has this id."""

    code = "task_not_found"


class ScheduleNotFound(NotFound):
    """No schedule has this name."""

    code = "schedule_not_found"


class CloudNotFound(NotFound):
    """Google Cloud has no resource of this name, or hides it."""

    code = "cloud_not_found"


class Conflict(AudobonError):
    """The request contradicts the present state."""

    code, http, exit = "conflict", 409, 5


class OutputExists(Conflict):
    """The output is already there and may not be replaced."""

    code = "output_exists"


class ObjectExists(Conflict):
    """The name of the object is taken; objects never change."""

    code = "object_exists"


class OnHold(Conflict):
    """A hold, or the time for which it must be kept, forbids to remove it."""

    code = "on_hold"


class ForeignRepository(Conflict):
    """The place belongs to other keys than these."""

    code = "foreign_repository"


class ClockBehind(Conflict):
    """The clock tells an earlier time than what was written before."""

    code = "clock_behind"


class AlreadyRunning(Conflict):
    """Another process is doing this very job."""

    code = "already_running"


class LeaseLost(Conflict):
    """The task was handed to another worker; this result must not be published."""

    code = "lease_lost"


class QueueDrained(Conflict):
    """The queue finishes what it has and takes nothing new."""

    code = "queue_drained"


class CloudConflict(Conflict):
    """Google Cloud has it in another state than was asked for: it exists, or somebody was faster."""

    code = "cloud_conflict"


class Denied(AudobonError):
    """The system or a policy does not allow it."""

    code, http, exit = "denied", 403, 6


class WrongPassphrase(Denied):
    """The passphrase, or the recovery words, do not open it; or none was given."""

    code = "wrong_passphrase"


class CloudDenied(Denied):
    """Google Cloud does not know who asks, or does not allow it."""

    code = "cloud_denied"


class Exhausted(AudobonError):
    """A limited resource is used up."""

    code, http, exit, retry = "exhausted", 429, 7, True


class MemoryTooSmall(Exhausted):
    """The work does not fit the memory budget, even in the smallest pieces."""

    code, retry = "memory_too_small", False


class DiskFull(Exhausted):
    """A disk has no room left."""

    code, http = "disk_full", 507


class DeadlineExceeded(Exhausted):
    """The time set for the work is over."""

    code, retry = "deadline_exceeded", False


class Cancelled(Exhausted):
    """The work was called off before it was done."""

    code, retry = "cancelled", False


class QuotaExceeded(Exhausted):
    """A quota of Google Cloud is used up for now."""

    code = "quota_exceeded"


class Unavailable(AudobonError):
    """A part that is needed does not answer."""

    code, http, exit, retry = "unavailable", 503, 8, True


class WorkerDied(Unavailable):
    """A process doing the work ended without a result."""

    code = "worker_died"


class CloudUnavailable(Unavailable):
    """Google Cloud does not answer, or the network to it does not carry."""

    code = "cloud_unavailable"


class Corrupt(AudobonError):
    """Stored data is not what was written."""

    code, http, exit = "corrupt", 500, 9


class CorruptModel(Corrupt):
    """A model's bytes, or its answers, differ from its card."""

    code = "corrupt_model"


class CorruptBlob(Corrupt):
    """A blob's bytes no longer match its key."""

    code = "corrupt_blob"


class CorruptKeyring(Corrupt):
    """A key, or the file that holds them, is not as it was written."""

    code = "corrupt_keyring"


class CorruptBackup(Corrupt):
    """A backup, or a part of one, is missing or not as it was written."""

    code = "corrupt_backup"


class PartlyFailed(AudobonError):
    """The work ended, but some pages could not be done."""

    code, http, exit = "partly_failed", 207, 10


class BelowThreshold(PartlyFailed):
    """What was measured is not as good as it has to be."""

    code = "below_threshold"


def by_code(code: str) -> type[AudobonError]:
    """Return the class with this code; AudobonError when there is none."""
    pending: list[type[AudobonError]] = [AudobonError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind
        pending.extend(kind.__subclasses__())
    return AudobonError
