"""The last fence around a worker's memory: the system refuses what lies beyond it."""

import sys

# Above what is promised: a prediction that is a little low must not end a page that fits.
_SLACK_SHARE = 0.25
_SLACK_BYTES = 512 << 20


def fence_memory(budget_bytes: int) -> None:
    """Let this process hold no more private memory than its budget and some slack.

    What it asks for beyond that fails as memory that ran out, and the page is tried in smaller tiles.
    Only where the system counts private memory alone (Linux); elsewhere the prediction is the only fence.
    source  getrlimit(2), RLIMIT_DATA: also private mappings since Linux 4.7
    """
    if sys.platform != "linux":
        return
    import resource

    wanted = budget_bytes + round(budget_bytes * _SLACK_SHARE) + _SLACK_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
