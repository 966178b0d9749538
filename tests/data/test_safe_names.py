"""Names of the files of an export."""

import pytest

from audobon.data.names import SafeNames, is_safe_path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("page 1.png", "f/page 1.png"),
        ("chapter/page.png", "f/chapter/page.png"),
        ("../../etc/passwd", "f/etc/passwd"),
        ("/etc/passwd", "f/etc/passwd"),
        ("C:\\windows\\system.ini", "f/C_/windows/system.ini"),
        ("..", "f/unnamed"),
        ("", "f/unnamed"),
        ("CON", "f/_CON"),
        ("nul.png", "f/_nul.png"),
        ("-rf", "f/_-rf"),
        ("~", "f/_~"),
        ("a\nb\x1b[31m.png", "f/a_b_[31m.png"),
        ("gnp.\u202eexe.png", "f/gnp._exe.png"),
        ("dots...", "f/dots"),
        ("что.png", "f/что.png"),
        ("\udcff.png", "f/?.png".replace("?", "_")),
    ],
)
def test_a_hostile_name_becomes_a_path_inside(name: str, path: str) -> None:
    assert SafeNames().take("f", name) == path
    assert is_safe_path(path)


def test_names_that_some_systems_take_for_one_get_numbers() -> None:
    names = SafeNames()

    assert [names.take("f", name) for name in ("A.png", "a.png", "a.png", "e\u0301.png", "\u00e9.png")] == [
        "f/A.png",
        "f/a (2).png",
        "f/a (3).png",
        "f/\u00e9.png",
        "f/\u00e9 (2).png",
    ]


def test_a_file_and_a_folder_of_one_name_both_find_a_place() -> None:
    names = SafeNames()

    paths = [names.take("f", name) for name in ("a", "a/b", "c/d", "c")]

    assert paths == ["f/a", "f/a (2)/b", "f/c/d", "f/c (2)"]


def test_a_long_name_is_cut_and_keeps_its_ending() -> None:
    path = SafeNames().take("f", "ж" * 300 + ".png")

    assert len(path.encode()) <= 2 + 120
    assert path.endswith("ж.png")


@pytest.mark.parametrize("path", ["", "../a", "a/../b", "/a", "a\\b", "a//b", "con", "a\n"])
def test_a_manifest_cannot_name_a_path_outside(path: str) -> None:
    assert not is_safe_path(path)
