"""How does the queue compare with its peers, and does it keep its goals? See the section in README.md.

bench_queue.py [--quick] [--minutes N] [--rounds N] [--only G1,G3 [--keep NAME]]
"""

import argparse
import contextlib
import sys
import time

from measuring import ROOT, save, table

sys.path.insert(0, str(ROOT / "benchmarks" / "queue"))
sys.path.insert(0, str(ROOT / "tests" / "queue"))

import report
from claims import measure_claims
from contest import Contest, Pace
from durability import syncs_per_task
from goals import COMPARISONS, CONTEXT, Comparison
from lineup import LINEUP, absent
from postgres_server import PostgresServer, find_binaries
from real_swaps import measure_real_swaps
from slices import Runner, SliceFailed
from swaps import simulate_swaps

# Room for a whole run in memory, and no checkpoint in the middle of a slice; the same for all.
POSTGRES_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h"}
QUICK_SECONDS = 170


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a trial of at most 3 minutes; judges and saves nothing"
    )
    parser.add_argument("--minutes", type=float, default=25.0, help="the longest the whole run may take")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="goals to measure, as in G1,G3; nothing is saved")
    parser.add_argument("--keep", default="", help="with --only: save the figures under this name after all")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    begun = time.monotonic()
    end_at = begun + (QUICK_SECONDS if options.quick else options.minutes * 60)
    if options.quick:
        pace = Pace(1, 0.2, 0.3, 15, end_at, 0, 1)
    else:
        pace = Pace(options.rounds, 0.6, 1.5, 100, end_at, 2, 2)
    with contextlib.ExitStack() as stack:
        postgres = _postgres(stack)
        runner = Runner(postgres)
        chosen, left_out = _choose(only, has_postgres=postgres is not None)
        syncs = _durability(runner, chosen)
        # First what takes its time whatever the machine does; the rounds have what is left.
        claims = measure_claims(postgres, is_quick=options.quick) if not only or only & {"G8", "G9"} else {}
        swaps = simulate_swaps(is_quick=options.quick) if not only or "G9" in only else {}
        real = measure_real_swaps(is_quick=options.quick) if not only or "G9" in only else {}
        print(f"durability, claims and swaps took {time.monotonic() - begun:.0f} s", flush=True)
        contest = Contest(runner, pace)
        contest.run(chosen)
    figures = report.figures(contest, chosen, left_out, syncs, claims, (swaps, real), is_trial=options.quick)
    for title, header, rows in report.tables(figures):
        if rows:
            table(title, header, rows)
    figures["seconds"] = round(time.monotonic() - begun)
    if not options.quick and (options.keep or not only):
        save(options.keep or "queue", figures)
    if contest.faults:
        raise SystemExit(f"{len(contest.faults)} slices failed")


def _postgres(stack: contextlib.ExitStack) -> PostgresServer | None:
    try:
        find_binaries()
    except RuntimeError as error:
        print(error)
        return None
    return stack.enter_context(PostgresServer(settings=POSTGRES_SETTINGS))


def _choose(only: set[str], *, has_postgres: bool) -> tuple[list[Comparison], dict[str, str]]:
    """Return what can be compared here, and who cannot take part with the reason."""
    left_out = {
        name: reason
        for name, contestant in LINEUP.items()
        if (reason := absent(contestant, has_postgres=has_postgres))
    }
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    wanted = [each for each in (*COMPARISONS, *CONTEXT) if not only or each.goal in only]
    return [each for each in wanted if not {each.ours, each.peer} & left_out.keys()], left_out


def _durability(runner: Runner, chosen: list[Comparison]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(name for each in chosen for name in (each.ours, each.peer)):
        try:
            found[name] = syncs_per_task(runner, LINEUP[name])
        except SliceFailed as error:
            print(f"FAILED: {error}", flush=True)
            found[name] = None
    return found


if __name__ == "__main__":
    main()
