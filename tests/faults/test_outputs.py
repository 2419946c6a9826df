"""Targets are checked before work begins; what was computed is not lost when it cannot be written."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prunescope.jobs.failures import NoRoom
from prunescope.lm.architecture import decoder_layers
from prunescope.outputs import MAX_NAME_BYTES
from prunescope.worker import disk, stages
from tests.cli.conftest import TEXT, Command
from tests.faults.broken import LONG_NAME
from tests.faults.conftest import one_line
from tests.models import tiny

MAGNITUDE = ("--method", "magnitude", "--sparsity", 0.5)
REVIEWS = ("--tasks", "reviews", "--limit", 2)

FOLDERS = {
    "a folder with something in it": "full",
    "a file": "text.safetensors",
    "below a file": "text.safetensors/out",
    "a dangling link": "dangling.jsonl",
    "below a dangling link": "dangling.jsonl/out",
    "a loop of links": "loop.jsonl",
    "a pipe": "pipe.jsonl",
    "a long name": LONG_NAME,
    "a long name below a new folder": f"new/{LONG_NAME}/out",
    "the working folder": ".",
    "not UTF-8": "\udcff",
    "a null byte": "a\0b",
    "nobody's home": "~nosuchuser/out",
    "nothing": "",
    "the model's own folder": "llama",
    "in the model's own folder": "llama/out",
    "in the model's own folder by a link": "link/out",
    "where a disk is mounted": "/dev/shm",
    "where nothing can be made": "/proc/out",
}

FILES = {
    "a folder": "folder.jsonl",
    "a dangling link": "dangling.jsonl",
    "below a dangling link": "dangling.jsonl/out.json",
    "below a file": "text.safetensors/out.json",
    "a loop of links": "loop.jsonl",
    "a pipe": "pipe.jsonl",
    "a socket": "socket.jsonl",
    "a device": "/dev/null",
    "standard output": "/dev/stdout",
    "no folder": "nowhere/out.json",
    "a long name": LONG_NAME,
    "not UTF-8": "\udcff",
    "a null byte": "a\0b",
    "nobody's home": "~nosuchuser/out.json",
    "nothing": "",
    "a file of the model": "llama/config.json",
    "in the model's own folder": "llama/out.json",
    "in the model's own folder by a link": "link/out.json",
    "where nothing can be made": "/proc/out.json",
}


@pytest.fixture
def targets(place: Path, models: Path) -> Path:
    """The working folder with what the tables name, and a model in it."""
    (place / "full").mkdir()
    (place / "full" / "dear").touch()
    (place / "llama").mkdir()
    for file in (models / "llama").iterdir():
        os.link(file, place / "llama" / file.name)
    (place / "link").symlink_to("llama")
    return place


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", list(FOLDERS))
def test_a_folder_that_cannot_be_made(command: Command, targets: Path, name: str) -> None:
    before = listed(targets)
    result = command("prune", "llama", *MAGNITUDE, "--output", FOLDERS[name])
    one_line(result)
    assert "load" not in result.stderr, "it is refused before the model is loaded"
    (targets / "texts.jsonl").write_text(json.dumps({"text": TEXT, "words": ["bad"]}))
    texts = ("--texts", "texts.jsonl", "--output", FOLDERS[name])
    result = command("attribute", "--dense", "demo", "--pruned", "llama", *texts)
    one_line(result)
    assert "load" not in result.stderr
    assert listed(targets) == sorted([*before, "texts.jsonl"])


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_that_cannot_be_made(command: Command, targets: Path, name: str) -> None:
    before = listed(targets)
    result = command("evaluate", "llama", *REVIEWS, "--json", FILES[name])
    one_line(result)
    assert "load" not in result.stderr, "it is refused before the model is loaded"
    assert listed(targets) == before
    assert Path("/dev/null").is_char_device()


def test_a_home_that_there_is_not(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("", "relative"):
        monkeypatch.setenv("HOME", home)
        for target in ("~", "~/out"):
            assert "'HOME" not in one_line(command("prune", "demo", *MAGNITUDE, "--output", target))
            one_line(command("evaluate", "demo", *REVIEWS, "--json", target))
    assert list(tmp_path.iterdir()) == []


def test_a_home_means_the_same_everywhere(
    command: Command, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "data" / "eval").mkdir(parents=True)
    (home / "data" / "eval" / "sst2.jsonl").write_text('{"sentence": "bad", "label": 0}\n' * 2)
    (home / "texts.jsonl").write_text(json.dumps({"text": TEXT, "words": ["bad"]}))
    (home / "rows.jsonl").write_text((models / "calibration.jsonl").read_text())
    (home / "job.yaml").write_text("kind: prun\nspec: {}\n")
    (home / "llama").symlink_to(models / "llama")
    monkeypatch.setenv("HOME", str(home))
    calibration = ("--method", "wanda", "--sparsity", 0.5, "--calibration", "~/rows.jsonl", "--samples", 2)
    made = command("prune", "~/llama", *calibration, "--seqlen", 16, "--output", "~/pruned")
    assert made.exit_code == 0, made.stderr
    measured = command(
        *("evaluate", "~/pruned", "--tasks", "sst2", "--data", "~/data", "--json", "~/result.json"),
        *("--perplexity", "~/rows.jsonl", "--seqlen", 16),
    )
    assert measured.exit_code == 0, measured.stderr
    assert {"pruned", "result.json"} <= {path.name for path in home.iterdir()}
    variants = ("--dense", "~/llama", "--pruned", "~/pruned", "--permutations", 0)
    attributed = command("attribute", *variants, "--texts", "~/texts.jsonl", "--output", "~/group")
    assert attributed.exit_code == 0, attributed.stderr
    assert "kind 'prun'" in one_line(command("submit", "~/job.yaml"))
    assert str(home / "data folder") in command("doctor", "--home", "~/data folder").stdout
    monkeypatch.setenv("PRUNESCOPE_HOME", "~/from the environment")
    assert str(home / "from the environment") in command("doctor").stdout
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_links_lead_where_they_say(command: Command, models: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").symlink_to("empty")
    (tmp_path / "old.json").write_text("old")
    (tmp_path / "result.json").symlink_to("old.json")
    assert command("prune", models / "llama", *MAGNITUDE, "--output", "out").exit_code == 0
    assert (tmp_path / "out").is_symlink() and (tmp_path / "empty" / "config.json").is_file()
    assert command("evaluate", "out", *REVIEWS, "--json", "result.json").exit_code == 0
    assert (tmp_path / "result.json").is_symlink() and "tasks" in json.loads((tmp_path / "old.json").read_text())


def test_the_longest_name_that_there_is(command: Command, models: Path, tmp_path: Path) -> None:
    name = "n" * MAX_NAME_BYTES
    assert command("prune", models / "llama", *MAGNITUDE, "--output", name).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_results_are_printed_where_their_file_cannot_be_written(
    command: Command, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = stages.evaluate

    def then_the_folder_goes(*arguments: object) -> object:
        document = measured(*arguments)  # type: ignore[arg-type]
        (tmp_path / "results").rename(tmp_path / "elsewhere")
        return document

    (tmp_path / "results").mkdir()
    monkeypatch.setattr(stages, "evaluate", then_the_folder_goes)
    result = command("evaluate", models / "llama", *REVIEWS, "--json", "results/result.json")
    assert "reviews: " in result.stdout and "of 2 rows" in result.stdout
    assert "results above could not be written to results/result.json" in one_line(result, (1,))


def test_a_file_system_without_room_for_the_results(models: Path, tmp_path: Path, disk_of: "Mount") -> None:
    """A file can be made on it, and nothing be written to it."""
    small = disk_of("64k")
    fill(small)
    command = [sys.executable, "-m", "prunescope.cli", "evaluate", models / "llama", *map(str, REVIEWS)]
    result = subprocess.run([*command, "--json", small / "result.json"], capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "of 2 rows" in result.stdout, result.stderr
    last = result.stderr.splitlines()[-1]
    assert "results above could not be written to" in last and os.strerror(errno.ENOSPC) in last
    assert [path.name for path in small.iterdir()] == ["filler"]


def fill(folder: Path) -> None:
    with pytest.raises(OSError), (folder / "filler").open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 1024)


class Mount:
    """Makes small file systems in memory, and takes them away."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._mounted = folder, []

    def __call__(self, size: str) -> Path:
        place = self._folder / f"disk of {size}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("a file system can be mounted by root alone")
        self._mounted.append(place)
        return place

    def end(self) -> None:
        for place in self._mounted:
            subprocess.run(["umount", place], check=True)


@pytest.fixture
def disk_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """`disk_of("64k")` is a folder on a file system of that size."""
    if os.geteuid():
        pytest.skip("a file system can be mounted by root alone")
    mount = Mount(tmp_path_factory.mktemp("disks"))
    try:
        yield mount
    finally:
        mount.end()


def test_a_disk_that_is_known_to_be_too_small(command: Command, disk_of: Mount, tmp_path: Path) -> None:
    """The demo model has 10.6 MB; its layers are there twice before they are one file."""
    small = disk_of("14m")
    line = one_line(command("prune", "demo", *MAGNITUDE, "--output", small / "out"))
    assert "21.2 MB are needed and 14.7 MB are free on the disk at" in line and str(small) in line
    assert list(small.iterdir()) == []


def test_what_just_fits_is_not_refused(command: Command, models: Path, disk_of: Mount) -> None:
    """Room for the layers and the file that is made of them, to a few blocks."""
    weights = (models / "twin" / "model.safetensors").stat().st_size
    others = sum(file.stat().st_size for file in (models / "twin").iterdir()) - weights
    enough = disk_of(f"{(2 * weights + others + 200_000) // 1024}k")
    made = command("prune", models / "twin", *MAGNITUDE, "--output", enough / "out")
    assert made.exit_code == 0, made.stderr


@pytest.mark.parametrize("kept", [1, 0])
def test_a_disk_that_fills_up_meanwhile(
    command: Command, models: Path, disk_of: Mount, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """What another program writes there in the meantime cannot be known; the finished layers are not lost."""
    small = disk_of("2m")
    monkeypatch.setattr(disk, "free_bytes", lambda folder: None)  # as where a file system does not tell
    layer = sum(part.numel() for part in decoder_layers(tiny("llama"))[0].parameters()) * 4
    (small / "filler").write_bytes(b"x" * (2 * 2**20 - layer * kept - 24_000))
    line = one_line(command("prune", models / "twin", *MAGNITUDE, "--output", small / "out"), (1,))
    assert "the disk is full" in line
    told = "finished layers are kept in" in line and "running the same again resumes from them" in line
    assert told == bool(kept) and len(list(small.iterdir())) == 1 + kept
    (small / "filler").unlink()
    again = command("prune", models / "twin", *MAGNITUDE, "--output", small / "out")
    assert again.exit_code == 0, again.stderr
    assert ("1 of 2 layers resumed from an earlier run" in again.stdout) == bool(kept)
    assert [path.name for path in small.iterdir()] == ["out"]


def test_a_limit_on_the_size_of_files(models: Path, tmp_path: Path) -> None:
    """As `ulimit -f` sets it: the layers fit, the file that is made of them does not."""
    largest = (models / "twin" / "model.safetensors").stat().st_size * 3 // 4

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    options = (*map(str, MAGNITUDE), "--output", tmp_path / "out")
    command = [sys.executable, "-m", "prunescope.cli", "prune", models / "twin", *options]
    first = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert first.returncode == 1, first.stderr
    last = first.stderr.splitlines()[-1]
    assert "a file got too large" in last and "finished layers are kept in" in last and "Traceback" not in first.stderr
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0 and "2 of 2 layers resumed from an earlier run" in second.stdout, second.stderr


def test_an_attribution_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = 4 * 100 * 1000 * 2
    needed = raw + 5 * raw // 2  # one variant as it comes; compressed, three variants and the own parts of two
    monkeypatch.setattr(disk, "free_bytes", lambda folder: needed)
    disk.check_attribution(tmp_path / "group", layers=4, neurons=100, tokens=1000, variants=3)
    monkeypatch.setattr(disk, "free_bytes", lambda folder: needed - 1)
    with pytest.raises(NoRoom, match=r"2\.8 MB are needed and 2\.8 MB are free"):
        disk.check_attribution(tmp_path / "group", layers=4, neurons=100, tokens=1000, variants=3)
