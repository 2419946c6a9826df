"""Artefacts appear whole or not at all, in a local folder and at an address without folders or renames."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from prunescope.jobs.problems import Problem
from prunescope.store.artefacts.folders import Artefacts

ID = "0123456789abcdef"


@pytest.fixture(params=["local", "remote"])
def artefacts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Artefacts]:
    if request.param == "local":
        yield Artefacts(tmp_path / "a folder" / "artefacts")
        return
    yield Artefacts("memory://bucket/artefacts", tmp_path / "cache")
    fsspec.filesystem("memory").store.clear()


def made(artefacts: Artefacts, contents: bytes = b"weights") -> None:
    with artefacts.staging("model", ID) as folder:
        (folder / "model.safetensors").write_bytes(contents)
        (folder / "deep").mkdir()
        (folder / "deep" / "config.json").write_text("{}")


def test_an_artefact_appears_when_it_is_whole(artefacts: Artefacts) -> None:
    with artefacts.staging("model", ID) as folder:
        (folder / "model.safetensors").write_bytes(b"weights")
        assert not artefacts.exists("model", ID)
    assert artefacts.exists("model", ID)
    assert artefacts.files("model", ID) == {"model.safetensors": 7}
    assert artefacts.read("model", ID, "model.safetensors") == b"weights"
    with artefacts.open("model", ID, "model.safetensors") as stream:
        assert stream.read(3) == b"wei"


def test_an_error_leaves_nothing_and_keeps_what_was_there(artefacts: Artefacts, tmp_path: Path) -> None:
    for before in (False, True):
        if before:
            made(artefacts)
        with pytest.raises(KeyboardInterrupt), artefacts.staging("model", ID) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt
        assert artefacts.exists("model", ID) == before
        assert list(tmp_path.rglob("half")) == []
    assert artefacts.read("model", ID, "model.safetensors") == b"weights"


def test_an_artefact_is_replaced_whole(artefacts: Artefacts, tmp_path: Path) -> None:
    made(artefacts)
    artefacts.fetch("model", ID)
    with artefacts.staging("model", ID) as folder:
        (folder / "other").touch()
    assert artefacts.files("model", ID) == {"other": 0}
    assert [path.name for path in artefacts.fetch("model", ID).glob("o*")] == ["other"]
    assert list(tmp_path.rglob("*-before")) == []


def test_fetching_gives_a_folder_to_load_from(artefacts: Artefacts) -> None:
    made(artefacts)
    folder = artefacts.fetch_model(ID)
    assert (folder / "deep" / "config.json").read_text() == "{}"
    assert artefacts.fetch_model(ID) == folder
    assert (artefacts.local_path("model", ID) == folder) == artefacts.local


def test_removing(artefacts: Artefacts, tmp_path: Path) -> None:
    made(artefacts)
    artefacts.fetch("model", ID)
    artefacts.remove("model", ID)
    artefacts.remove("model", ID)
    assert not artefacts.exists("model", ID)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    for ask in (artefacts.fetch, artefacts.files):
        with pytest.raises(Problem) as missing:
            ask("model", ID)
        assert missing.value.status == 404


def test_names_lead_nowhere_else(artefacts: Artefacts) -> None:
    for name in ("..", "../../etc", "0" * 15, ID.upper(), f"{ID}/x", ""):
        with pytest.raises(Problem):
            artefacts.path("model", name)
    with pytest.raises(ValueError, match="no kind of artefact"):
        artefacts.path("models", ID)
    made(artefacts)
    for file in ("../x", "/etc/passwd", "deep", "nothing", ""):
        with pytest.raises(Problem):
            artefacts.read("model", ID, file)


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    old, young = (tmp_path / ".staging" / name for name in ("model-old", "model-young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "half").touch()
    for path in (old / "half", old):
        os.utime(path, (0, 0))
    assert artefacts.remove_abandoned() == 1
    assert not old.exists() and young.exists()


def test_a_remote_address_needs_a_cache() -> None:
    with pytest.raises(ValueError, match="give a cache folder"):
        Artefacts("memory://bucket")


def test_two_processes_that_make_the_same_end_with_one_of_them(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    with artefacts.staging("evaluation", ID) as first, artefacts.staging("evaluation", ID) as second:
        (first / "evaluation.json").write_text("first")
        (second / "evaluation.json").write_text("second")
    assert artefacts.read("evaluation", ID, "evaluation.json") == b"first", "the outer block ends last"
