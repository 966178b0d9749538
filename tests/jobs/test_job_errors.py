"""What a command ends with when pages failed, were called off, or both."""

import msgspec
import pytest

from audobon.errors import Cancelled, PartlyFailed
from audobon.jobs.report import JobReport, PageReport
from audobon.jobs.service import raise_for

DONE = PageReport("1.png", "done")
FAILED = PageReport("2.png", "failed", code="unreadable_picture", message="cut off")
OFF = PageReport("3.png", "failed", code="cancelled", message="cancelled by `audobon queue cancel`")


def report(*pages: PageReport, output: str | None = "/print.cbz") -> JobReport:
    failed = sum(page.state == "failed" for page in pages)
    return JobReport(
        job="job",
        operation="upscale",
        settings={},
        models=(),
        state="partial",
        place="here",
        source="/fox.cbz",
        output=output,
        seconds=1.0,
        peak_memory_bytes=1,
        cost_micros=0,
        pages_done=len(pages) - failed,
        pages_failed=failed,
        pages_resumed=0,
        pages=list(pages),
        files=[],
        unread_pictures=[],
        left_out=[],
    )


@pytest.mark.parametrize(
    ("pages", "message", "hint"),
    [
        (
            (DONE, FAILED),
            "1 of 2 pages could not be done: 2.png",
            "mend or replace them and run the same command again with --overwrite",
        ),
        (
            (DONE, OFF),
            "1 of 2 pages was called off: 3.png",
            "run the same command again with --overwrite to do them",
        ),
        (
            (DONE, FAILED, OFF, OFF),
            "1 of 4 pages could not be done: 2.png; 2 were called off: 3.png, 3.png",
            "mend or replace them and run the same command again with --overwrite",
        ),
    ],
)
def test_failed_pages_want_mending_and_those_called_off_only_the_command_again(
    pages: tuple[PageReport, ...], message: str, hint: str
) -> None:
    with pytest.raises(PartlyFailed) as caught:
        raise_for(report(*pages))

    assert caught.value.message == message
    assert caught.value.hint == f"{hint}; what is done is kept till then"


def test_the_only_page_called_off_ends_with_its_own_status() -> None:
    with pytest.raises(Cancelled) as caught:
        raise_for(report(OFF, output=None))

    assert caught.value.message == "/fox.cbz: cancelled by `audobon queue cancel`"
    assert caught.value.hint == "run the same command again to do it"


def test_a_report_from_before_engines_were_told_of_can_be_read() -> None:
    told = msgspec.to_builtins(report(DONE))
    del told["is_engine_joined"]

    assert msgspec.convert(told, JobReport) == report(DONE)
