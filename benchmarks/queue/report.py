"""Turns what was measured into figures with verdicts, and figures into tables."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from brackets import interval
from claims import quantile
from contest import Contest
from durability import ONE_EACH
from goals import FEWER_SWAPS, PICKUP_P99_MILLISECONDS, SHORTER_MAKESPAN, Comparison
from lineup import LINEUP

from measuring import ROOT, verdict

FEWEST_PAIRS = 5
"""Kept pairs without which no verdict is given."""

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def figures(
    contest: Contest,
    comparisons: list[Comparison],
    left_out: dict[str, str],
    syncs: dict[str, float | None],
    claims: dict[str, Any],
    swaps: tuple[dict[str, Any], dict[str, Any]],
    *,
    is_trial: bool,
) -> dict[str, Any]:
    """Return everything that is saved."""
    return {
        "is_trial": is_trial,
        "rounds": contest.rounds,
        "versions": _versions(),
        "left_out": left_out,
        "durability": {name: _durability(name, found) for name, found in syncs.items()},
        "comparisons": [
            _comparison(contest, at, each, syncs, is_trial=is_trial) for at, each in enumerate(comparisons)
        ],
        "pickups": {name: _pickups(name, found, is_trial) for name, found in contest.pickups.items()},
        "claims": {name: found | _claim_verdicts(found, is_trial) for name, found in claims.items()},
        "swaps": _judged(swaps[0], is_trial),
        "real_swaps": _judged(swaps[1], is_trial),
        "faults": contest.faults,
        "slices": contest.slices,
    }


def _durability(name: str, syncs: float | None) -> dict[str, Any]:
    claimed = LINEUP[name].is_durable
    seen = None if syncs is None else syncs >= ONE_EACH
    return {"syncs_per_task": syncs, "is_durable": seen, "is_as_claimed": seen is None or seen == claimed}


def _comparison(
    contest: Contest, at: int, each: Comparison, syncs: dict[str, float | None], *, is_trial: bool
) -> dict[str, Any]:
    kept = contest.brackets.get(at, [])
    found: dict[str, Any] = {
        "goal": each.goal,
        "ours": each.ours,
        "peer": each.peer,
        "measure": each.title,
        "factor": each.factor,
        "pairs": len(kept),
        "thrown_away": contest.restless.get(at, 0),
        "brackets": [bracket._asdict() for bracket in kept],
    }
    if kept:
        for name in ("ours", "theirs", "ratio"):
            found[f"{name}_interval"] = interval([getattr(bracket, name) for bracket in kept])
    return found | {"verdict": _verdict(each, found, syncs, is_trial=is_trial)}


def _verdict(
    each: Comparison, found: dict[str, Any], syncs: dict[str, float | None], *, is_trial: bool
) -> str:
    if not each.goal:
        return ""
    if is_trial:
        return "trial run"
    if found["pairs"] < FEWEST_PAIRS:
        return f"not judged: {found['pairs']} calm pairs"
    for name in (each.ours, each.peer):
        count = syncs.get(name)
        if count is None or count < ONE_EACH:
            return f"not judged: durability of {name} not seen"
    return verdict(found["ratio_interval"][1] >= each.factor)


def _pickups(name: str, slices: list[list[float]], is_trial: bool) -> dict[str, Any]:
    p50 = interval([quantile(waits, 50)[0] for waits in slices])
    p99 = interval([quantile(waits, 99)[0] for waits in slices])
    found: dict[str, Any] = {"slices": len(slices), "p50_milliseconds": p50, "p99_milliseconds": p99}
    if name == "ours sqlite":
        is_judged = not is_trial and len(slices) >= 2 * FEWEST_PAIRS
        found["verdict"] = verdict(p99[2] <= PICKUP_P99_MILLISECONDS) if is_judged else "not judged"
    return found


def _claim_verdicts(found: dict[str, Any], is_trial: bool) -> dict[str, str]:
    if is_trial:
        return {"verdict": "trial run"}
    if "broken" in found:
        return {"verdict": verdict(found["broken"] == 0)}
    times = [value[2] for name, value in found.items() if name.endswith("_milliseconds")]
    return {"verdict": verdict(all(time <= most for time, most in zip(times, found["limits"], strict=True)))}


def _judged(swaps: dict[str, Any], is_trial: bool) -> dict[str, Any]:
    if not swaps:
        return {}
    return swaps | {"verdict": "trial run" if is_trial else verdict(_are_swaps_fewer(swaps))}


def _are_swaps_fewer(swaps: dict[str, Any]) -> bool:
    plain, warm = swaps["priority alone"], swaps.get("warm bonus 120 s") or swaps["warm bonus"]
    return bool(
        plain["swaps"] >= FEWER_SWAPS * warm["swaps"]
        and plain["makespan_seconds"] >= SHORTER_MAKESPAN * warm["makespan_seconds"]
        and plain["longest_wait_seconds"] >= warm["longest_wait_seconds"]
    )


def _versions() -> dict[str, str]:
    peers = ("celery", "dbos", "dramatiq", "huey", "pgqueuer", "procrastinate", "redis", "rq")
    pinned = (ROOT / "requirements" / "bench.txt").read_text(encoding="utf-8")
    found = {name: re.findall(rf"(?m)^{name}==(\S+)", pinned)[0] for name in peers}
    for program in ("redis-server", "strace"):
        try:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            continue
        found[program] = said.splitlines()[0]
    return found


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables for the terminal."""
    yield (
        f"Ours against peers, {found['rounds']} rounds (tasks per second; median of paired ratios)",
        ["goal", "measure", "ours", "", "peer", "", "ratio", "95 %", "goal ≥", "pairs", ""],
        [_row(each) for each in found["comparisons"]],
    )
    yield (
        "Durability: waits for the disk per acknowledged task, one producer",
        ["system", "fsyncs per task", ""],
        [
            [
                name,
                "not counted" if each["syncs_per_task"] is None else f"{each['syncs_per_task']:.2f}",
                "" if each["is_as_claimed"] else "NOT AS CLAIMED",
            ]
            for name, each in found["durability"].items()
        ],
    )
    yield (
        f"G5: from enqueuing to the start, worker idle (goal: p99 ≤ {PICKUP_P99_MILLISECONDS:.0f} ms)",
        ["system", "p50 ms", "p99 ms", ""],
        [
            [
                name,
                _spread(each["p50_milliseconds"]),
                _spread(each["p99_milliseconds"]),
                each.get("verdict", ""),
            ]
            for name, each in found["pickups"].items()
        ],
    )
    if found["claims"]:
        yield "G8, G9: claims of ours", ["what", "found", ""], list(_claim_rows(found["claims"]))
    for name, title in (
        ("swaps", "G9: swaps of models in virtual time, one worker"),
        ("real_swaps", "G9: swaps of real models, small pictures, one worker with room for one"),
    ):
        if found[name]:
            yield (
                title,
                ["policy", "swaps", "makespan s", "longest wait s", ""],
                list(_swap_rows(found[name])),
            )


def _swap_rows(swaps: dict[str, Any]) -> Iterator[list[str]]:
    for policy, each in swaps.items():
        if policy in ("verdict", "costs"):
            continue
        is_judged = policy in ("warm bonus 120 s", "warm bonus")
        yield [
            policy,
            f"{each['swaps']}",
            f"{each['makespan_seconds']:.0f}",
            f"{each['longest_wait_seconds']:.1f}",
            swaps["verdict"] if is_judged else "",
        ]


def _row(each: dict[str, Any]) -> list[str]:
    names = [each["goal"], each["measure"], each["ours"]]
    if not each["pairs"]:
        return [*names, "", each["peer"], "", "", "", "", "0", each["verdict"]]
    ratio, low, high = each["ratio_interval"]
    return [
        *names,
        f"{each['ours_interval'][0]:,.0f}",
        each["peer"],
        f"{each['theirs_interval'][0]:,.0f}",
        f"{ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{each['factor']:.1f}" if each["goal"] else "",
        f"{each['pairs']}",
        each["verdict"],
    ]


def _claim_rows(claims: dict[str, Any]) -> Iterator[list[str]]:
    for name, found in claims.items():
        if "broken" in found:
            text = (
                f"{found['claims']:,} by 4 at random: over budget {found['broken']} times,"
                f" at most {found['most_ram']:.0%} RAM and {found['most_vram']:.0%} VRAM"
            )
        else:
            text = (
                f"of {found['backlog']:,} ready: p50 {_spread(found['claim_p50_milliseconds'])}"
                f" (≤ {found['limits'][0]}), p99 {_spread(found['claim_p99_milliseconds'])}"
                f" (≤ {found['limits'][1]}), nothing fits {_spread(found['nothing_fits_p50_milliseconds'])}"
                f" (≤ {found['limits'][2]}) ms"
            )
        yield [name, text, found["verdict"]]


def _spread(found: Sequence[float]) -> str:
    return f"{found[0]:.2f} ({found[1]:.2f}–{found[2]:.2f})"
