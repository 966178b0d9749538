"""Missing packs come back from places, a lost index is made anew, and what cannot be had again is named."""

import os
import shutil
from contextlib import closing

import msgspec
import pytest
from mended_home import Home

from audobon.compute.clean_stop import RunningMark
from audobon.database.shipping_state import StateFile
from audobon.errors import SubjectErased


@pytest.mark.parametrize("how", ["missing", "torn", "empty"])
def test_a_faulty_pack_is_fetched_from_a_place(home: Home, how: str) -> None:
    home.back_up()
    pack = home.packs()[0]
    if how == "missing":
        pack.unlink()
    else:
        os.truncate(pack, 0 if how == "empty" else pack.stat().st_size // 2)

    told = home.mend(is_thorough=False)

    assert [each.what for each in told] == ["packs fetched"]
    assert home.lacking() == 0
    assert home.mended() == []


def test_without_a_copy_of_a_pack_the_jobs_that_need_it_are_named(home: Home) -> None:
    with home.app() as app:
        app.storage.seal_open_packs()
    home.packs()[0].unlink()

    told = home.mend()

    assert [each.what for each in told] == ["packs lost", "pages lost", "pages lost"]
    assert told[1].facts == {"job": "second", "sources": 2, "results": 0, "can_go_on": True} or told[
        1
    ].facts == {"job": "first", "sources": 2, "results": 0, "can_go_on": True}
    assert "run the same command again: they are made anew from its document" in told[1].words


def test_a_lost_index_is_made_anew(home: Home) -> None:
    for path in home.folder.glob("storage.db*"):
        path.unlink()
    assert home.mended() == ["index rebuilt"]
    assert home.lacking() == 0


def test_database_index_packs_and_keyring_lost_together_come_back(home: Home) -> None:
    home.back_up()
    words = home.words()
    for name in ("keys", "blobs", "wal"):
        shutil.rmtree(home.folder / name)
    for path in [*home.folder.glob("audobon.db*"), *home.folder.glob("storage.db*")]:
        path.unlink()

    told = home.mend(words=words)

    assert [each.what for each in told] == ["keyring imported", "database restored", "packs fetched"]
    assert home.jobs() == ["first", "second"]
    assert home.lacking() == 0
    assert home.mended() == []
    home.add_job("third")
    assert home.restorable() == {"first", "second", "third"}


def test_rows_and_packs_of_the_erased_that_a_restore_brought_back_go(home: Home) -> None:
    with home.app() as app:
        subject = app.keys.subject("Mara")
        blob = app.storage.put(b"x" * 5000, subject=subject, kind="user")
        with closing(app.database.open()) as connection:
            connection.execute("UPDATE job SET subject = ? WHERE id = 'first'", (subject,))
            connection.execute("UPDATE entry SET blob = ? WHERE job_id = 'first' AND ordinal = 0", (blob,))
    shutil.copytree(home.folder / "blobs" / "user", home.folder.parent / "user")
    database = home.folder.parent / "before.db"
    with home.app() as app:
        from audobon.database.copies import own_copy
        from audobon.database.restoring import restore_database

        # Of what was copied before its rows were sealed, nothing is kept: no erased key would close it.
        app.jobs.seal_what_is_clear()
        restored = restore_database(own_copy(home.folder), app.keys, database)
        app.data.erase(subject)
        # As after a restore from before.
        shutil.copytree(home.folder.parent / "user", home.folder / "blobs" / "user", dirs_exist_ok=True)
    # The index is made anew from packs, as a restore does, and knows of no blob of hers.
    for path in home.folder.glob("storage.db*"):
        path.unlink()
    with home.app() as app:
        app.recovery.restore_database(None, to=restored.position.commit, as_far_as_possible=False)

    assert home.jobs() == ["second"]
    assert not any((home.folder / "blobs" / "user").rglob("*.pack"))
    with home.app() as app, pytest.raises(SubjectErased, match="was erased"):
        app.storage.get(blob)


def test_an_unclean_stop_is_told_of_once(home: Home) -> None:
    RunningMark(home.folder).begin()
    told = home.mend(is_thorough=False)
    assert [(each.what, each.is_grave) for each in told] == [("unclean stop", False)]
    assert home.mended(is_thorough=False) == []


def test_a_clock_that_stands_before_the_last_commit_is_told_of(home: Home) -> None:
    state = StateFile(home.database)
    noted = state.read()
    assert noted is not None
    state.write(msgspec.structs.replace(noted, at=noted.at + 86_400))
    told = home.mend(is_thorough=False)
    assert [each.what for each in told] == ["clock behind"]
    assert "s before the last commit that was shipped" in told[0].words
