"""Kinds of cores from made-up systems."""

from pathlib import Path

import pytest

from audobon.compute.core_kinds import CoreKinds, core_kinds


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


def speeds(name: str, *values: int) -> dict[str, str]:
    return {f"system/cpu/cpu{number}/{name}": str(value) for number, value in enumerate(values)}


@pytest.mark.parametrize(
    ("files", "allowed", "kinds"),
    [
        ({"cpu_core/cpus": "0-3", "cpu_atom/cpus": "4-6,8"}, set(range(9)), ((0, 1, 2, 3), (4, 5, 6, 8))),
        # A process that may use the slow ones alone has cores of one kind.
        ({"cpu_core/cpus": "0-3", "cpu_atom/cpus": "4-7"}, {5, 6}, ((5, 6), ())),
        (speeds("cpu_capacity", 1024, 1024, 400, 400), {0, 1, 2, 3}, ((0, 1), (2, 3))),
        (speeds("cpufreq/cpuinfo_max_freq", 5_000_000, 3_000_000), {0, 1}, ((0,), (1,))),
        # Cores that reach a little more than their neighbours are no kind of their own.
        (speeds("cpufreq/cpuinfo_max_freq", 5_500_000, 5_300_000), {0, 1}, ((0, 1), ())),
        ({}, {0, 1}, ((0, 1), ())),
        ({"cpu_core/cpus": "all", "cpu_atom/cpus": ""}, {0}, ((0,), ())),
        (speeds("cpu_capacity", 1024), {0, 1}, ((0, 1), ())),
    ],
)
def test_cores_differ_where_the_system_says_so(
    tmp_path: Path, files: dict[str, str], allowed: set[int], kinds: tuple[tuple[int, ...], ...]
) -> None:
    assert core_kinds(allowed, write(tmp_path, files)) == CoreKinds(*kinds)


def test_this_machine_has_some_core() -> None:
    assert core_kinds().fast
