"""Folders of unfinished work: one process at a time, and what is in them outlives it."""

import os
import signal
from pathlib import Path

import pytest

from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.artefacts.unfinished import InUse, remove_unfinished, unfinished

ID = "0123456789abcdef"


def never(_: BaseException) -> bool:
    return False


def test_what_is_in_it_stays_until_the_work_is_done(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "work"
    with pytest.raises(KeyboardInterrupt), unfinished(place, never) as folder:
        (folder / "layer").touch()
        raise KeyboardInterrupt
    with unfinished(place, never) as folder:
        assert (folder / "layer").exists()
    assert not list(place.parent.iterdir())


def test_nothing_stays_of_nothing_or_of_what_is_not_resumed(tmp_path: Path) -> None:
    place = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt), unfinished(place, never):
        raise KeyboardInterrupt
    assert not place.exists()
    with (
        pytest.raises(ValueError, match="bad"),
        unfinished(place, lambda error: isinstance(error, ValueError)) as folder,
    ):
        (folder / "layer").touch()
        raise ValueError("bad")
    assert not place.exists()


def test_one_at_a_time(tmp_path: Path) -> None:
    place = tmp_path / "work"
    with unfinished(place, never) as folder:
        (folder / "layer").touch()
        with pytest.raises(InUse), unfinished(place, never):
            pass
        assert not remove_unfinished(place) and (folder / "layer").exists()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    place = tmp_path / "work"
    child = os.fork()
    if not child:
        with unfinished(place, never) as folder:
            (folder / "layer").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with unfinished(place, never) as folder:
        assert (folder / "layer").exists()


def test_artefacts_in_the_making(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    with pytest.raises(KeyboardInterrupt), artefacts.unfinished("model", ID, never) as first:
        (first / "layer").touch()
        # As of a worker that lost its lease and has not heard of it yet.
        with artefacts.unfinished("model", ID, never) as second:
            assert second != first and not list(second.iterdir())
        raise KeyboardInterrupt
    assert not second.exists()
    with artefacts.unfinished("evaluation", ID, never) as other:
        assert other != first
    with artefacts.unfinished("model", ID, never) as again:
        assert again == first and (again / "layer").exists()
    assert not first.exists()


def test_layers_that_nobody_went_on_from_are_removed(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    with pytest.raises(KeyboardInterrupt), artefacts.unfinished("model", ID, never) as folder:
        (folder / "layer").touch()
        raise KeyboardInterrupt
    assert artefacts.remove_abandoned() == 0
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (0, 0))
    with artefacts.unfinished("model", ID, never):
        os.utime(folder, (0, 0))
        assert artefacts.remove_abandoned() == 0
    assert artefacts.remove_abandoned() == 0 and not folder.exists()
    with pytest.raises(KeyboardInterrupt), artefacts.unfinished("model", ID, never):
        (folder / "layer").touch()
        raise KeyboardInterrupt
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (0, 0))
    assert artefacts.remove_abandoned() == 1
