"""What is written is whole or not there."""

from pathlib import Path

import pytest

from cli.errors import Refusal
from cli.output import new_file, new_folder


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


def test_what_came_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="not an empty folder"), new_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("ours")
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x").write_text("theirs")
    assert (tmp_path / "a" / "x").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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
