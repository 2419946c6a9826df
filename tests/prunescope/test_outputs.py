"""What is written is whole or not there."""

from pathlib import Path

import pytest

from prunescope.errors import Failure, Refusal
from prunescope.outputs import new_file, new_folder, resumed_folder, unfinished_place


def test_a_folder_appears_at_the_end(tmp_path: Path) -> None:
    output = tmp_path / "a" / "b"
    with new_folder(output) as folder:
        (folder / "x").write_text("x")
        assert not output.exists() and not output.parent.exists()
    assert [path.name for path in output.iterdir()] == ["x"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("x")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "f") as file:
        file.write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_came_meanwhile_is_left_alone_and_the_result_kept(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="the result is kept in") as failed, new_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("ours")
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x").write_text("theirs")
    assert (tmp_path / "a" / "x").read_text() == "theirs"
    assert str(folder) in str(failed.value) and (folder / "x").read_text() == "ours"


def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with new_file(tmp_path / "f") as file:
        file.write_text("new")
        assert (tmp_path / "f").read_text() == "old"
    assert (tmp_path / "f").read_text() == "new"


def test_a_dangling_link_is_something(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refusal), new_folder(tmp_path / "a"):
        pass


def test_the_folder_above_everything_is_refused() -> None:
    with pytest.raises(Refusal, match="--output / is the root folder"):
        unfinished_place(Path("/"), "key")
    with pytest.raises(Refusal, match="/ exists and is not an empty folder"), new_folder(Path("/")):
        pass


def test_what_is_done_outlives_all_but_bad_input(tmp_path: Path) -> None:
    output = tmp_path / "a" / "b"
    with pytest.raises(KeyboardInterrupt), resumed_folder(output, "key") as (folder, finished):
        (folder / "half").touch()
        finished.mkdir()
        (finished / "layer").touch()
        raise KeyboardInterrupt
    hidden = unfinished_place(output, "key")
    assert [path.name for path in hidden.rglob("*") if path.is_file() and path.name != ".lock"] == ["layer"]
    with pytest.raises(Refusal, match="is wrong"), resumed_folder(output, "key") as (folder, finished):
        assert (finished / "layer").exists() and not list(folder.iterdir())
        raise Refusal("something is wrong")
    assert list(tmp_path.iterdir()) == []
    with resumed_folder(output, "key") as (folder, finished):
        assert not finished.exists()
        (folder / "whole").touch()
    assert [path.name for path in output.iterdir()] == ["whole"] and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interrupt_before_anything_is_done_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), resumed_folder(tmp_path / "a", "key") as (folder, _):
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_in(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(Refusal, match=r"is not a folder; choose another"),
        resumed_folder(tmp_path / "file" / "a", "key"),
    ):
        pass
