"""The list of jobs: within the width of a terminal, whatever the paths."""

from audobon.cli.jobs import table
from audobon.cli.queue_words import cell_width
from audobon.jobs.records import JobSummary


def job(source: str, target: str | None, *, state: str = "done") -> JobSummary:
    return JobSummary("20260103-115900-abc123", "key", "upscale", source, target, state, 0.0, 1.0, 12, 12)


def test_paths_are_cut_in_the_middle_until_a_line_fits_a_terminal() -> None:
    jobs = [
        job("/media/books/of/books/fox/page-01.png", "/media/books/of/print/fox/page-01-print.png"),
        job("/本/きつね/ページ一.png", None, state="interrupted"),
    ]

    lines = table(jobs, cells=80)

    assert max(map(cell_width, lines)) <= 80
    assert lines[1].split()[-2:] == ["/me…e-01.png", "/me…rint.png"]


def test_without_a_terminal_paths_are_whole() -> None:
    paths = ("/media/books/of/books/fox/page-01.png", "/media/books/of/print/fox/page-01-print.png")

    assert table([job(*paths)], cells=None)[1].split()[-2:] == list(paths)
