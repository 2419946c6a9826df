"""`prunescope up` and `prunescope submit`, as a person at a terminal has them: real processes, from start to end."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

PATIENCE = 180.0
ROOT = Path(__file__).parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Every process that `up` starts has this home in its environment, by which a test finds them all."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PRUNESCOPE_")}
    return kept | {"PRUNESCOPE_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def processes_of(home: Path) -> dict[int, str]:
    """Id -> command line of every running process that has this home; Redis writes over its environment, but works in
    it."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                carried = f"PRUNESCOPE_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0")
                if carried or (folder / "cwd").readlink() == home / "redis":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return {pid: command for pid, command in found.items() if command}


def all_end(home: Path) -> bool:
    deadline = time.monotonic() + PATIENCE
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes_of(home)


@contextmanager
def up(home: Path, *options: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`prunescope up` in the working folder of the home's parent; yields the process and the address that it prints."""
    command = [sys.executable, "-m", "prunescope.cli", "up", "--port", "0", *options]
    with subprocess.Popen(
        command,
        env=environment(home, **more),
        cwd=home.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if match := re.search(r"ready: (http://\S+)", line):
                    yield process, match[1]
                    break
            else:
                raise AssertionError("".join(said))
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a place with blanks") / "home"


@pytest.fixture(scope="module")
def address(home: Path, models: Path) -> Iterator[str]:
    """The address of everything running, without a demo, with `models` as its model root."""
    with up(home, "--no-demo", PRUNESCOPE_MODEL_ROOTS=str(models)) as (_, found):
        yield found
    assert all_end(home)


def submit(address: str, folder: Path, document: object, *options: str) -> subprocess.CompletedProcess[str]:
    file = folder / "job.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return subprocess.run(
        [sys.executable, "-m", "prunescope.cli", "submit", str(file), "--server", address, *options],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


PRUNE = {"kind": "prune", "spec": {"model": "llama", "method": "magnitude", "pattern": "2:4"}}


def test_everything_runs(address: str, home: Path) -> None:
    commands = processes_of(home).values()
    for part in ("cli up", "cli worker", "cli server", "redis-server"):
        assert any(part in command for command in commands), commands
    assert httpx.get(f"{address}/readyz").status_code == 200
    assert httpx.get(f"{address}/api/v1/jobs").json()["items"] == []


def test_submit_and_wait(address: str, tmp_path: Path) -> None:
    result = submit(address, tmp_path, PRUNE, "--wait")
    assert result.returncode == 0, result.stderr
    first, *_, last = result.stdout.splitlines()
    assert first.startswith(f"{address}/jobs/")
    assert re.fullmatch(r"model: pruned:[0-9a-f]{16}", last)

    again = submit(address, tmp_path, {"prune": PRUNE["spec"]})
    assert again.stdout.strip() == f"{first} (known already: succeeded)"
    forced = submit(address, tmp_path, PRUNE, "--force", "--wait")
    assert forced.returncode == 0 and forced.stdout.splitlines()[0] != first


def test_a_job_that_fails_for_what_was_asked(address: str, tmp_path: Path) -> None:
    spec = {**PRUNE, "spec": {**PRUNE["spec"], "pattern": "2:5"}}
    result = submit(address, tmp_path, spec, "--wait")
    assert result.returncode == 2
    assert "cannot be cut into groups of 5" in result.stderr.splitlines()[-1]


STUDY: dict[str, Any] = {"models": ["llama"], "methods": ["magnitude"], "patterns": ["2:4", 0.25], "tasks": ["reviews"]}


def test_a_study_tells_how_much_work_it_is(address: str, tmp_path: Path) -> None:
    measured = {**STUDY, "limit": 3}
    asked = submit(address, tmp_path, {"study": measured}, "--dry-run")
    assert asked.returncode == 0
    assert re.match(r"5 cells: (1 known, 4|5) new \(.*3 evaluate\); no time estimate \(nothing like ", asked.stdout)
    assert httpx.get(f"{address}/api/v1/studies").json()["items"] == []
    done = submit(address, tmp_path, {"study": measured}, "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("5 cells: ") and done.stdout.startswith(f"{address}/jobs/")
    known = submit(address, tmp_path, {"study": measured}, "--dry-run").stdout
    assert known == "5 cells: 5 known, nothing new\n"
    larger = submit(address, tmp_path, {"study": {**measured, "patterns": ["2:4", 0.25, 0.75]}}, "--dry-run").stdout
    assert re.fullmatch(r"7 cells: 5 known, 2 new \(1 prune, 1 evaluate\); about \d+s \(based on .*\)\n", larger)
    one = submit(address, tmp_path, PRUNE, "--dry-run")
    assert one.returncode == 2 and "--dry-run" in one.stderr


def test_a_failed_cell_is_tried_again_alone_and_its_study_goes_on(address: str, tmp_path: Path, models: Path) -> None:
    broken = models / "broken"
    shutil.copytree(models / "llama", broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    spec = {**STUDY, "models": ["llama", "broken"], "limit": 2}
    others = {job["id"] for job in httpx.get(f"{address}/api/v1/jobs").json()["items"]}
    failed = submit(address, tmp_path, {"study": spec}, "--wait")
    assert failed.returncode == 2 and "5 of 10 cells did not succeed" in failed.stderr
    study = failed.stdout.split()[0].rpartition("/")[2]

    def jobs(state: str) -> list[dict[str, Any]]:
        found = httpx.get(f"{address}/api/v1/jobs?state={state}").json()["items"]
        return [job for job in found if job["id"] not in others | {study}]

    before = {job["id"]: job["attempts"] for job in jobs("succeeded")}
    lost = jobs("failed")
    causes = [job for job in lost if job["error"]["code"] != "failed-dependency"]
    assert len(lost) == 5 and {job["kind"] for job in causes} == {"evaluate", "prune"}
    shutil.copy(models / "llama" / "model.safetensors", broken / "model.safetensors")
    for cause in causes:
        assert httpx.post(f"{address}/api/v1/jobs/{cause['id']}/retry").status_code == 202
    wait_for(address, study, "succeeded")
    ended = {job["id"]: job["attempts"] for job in jobs("succeeded")}
    assert {job: ended[job] for job in before} == before, "what had succeeded was not run again"
    assert {ended[job["id"]] for job in causes} == {2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "wandaa"}, "did you mean 'wanda'"),
        ({"pattern": 1.5}, "1.5"),
        ({"pattern": "5:4"}, "n must be smaller than m"),
        ({"model": "bare"}, "save_pretrained"),
        ({"model": "/etc"}, "model roots"),
        ({"model": "../outside"}, "model roots"),
        ({"colour": "blue"}, "unknown field 'colour'"),
    ],
)
def test_a_spec_that_cannot_be_run(address: str, tmp_path: Path, change: dict[str, object], said: str) -> None:
    before = httpx.get(f"{address}/api/v1/jobs").json()
    result = submit(address, tmp_path, {**PRUNE, "spec": {**PRUNE["spec"], **change}})
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert said in line
    assert httpx.get(f"{address}/api/v1/jobs").json() == before


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("kind: [", "is not valid YAML"),
        ("just text", "'kind'"),
        ({"kind": "prun", "spec": {}}, "did you mean 'prune'"),
        ({"kind": "prune"}, "'spec'"),
        ({"kind": "prune", "spec": {}, "colour": "blue"}, "nothing else"),
    ],
)
def test_a_file_of_another_form(tmp_path: Path, document: object, said: str) -> None:
    result = submit("http://127.0.0.1:9", tmp_path, document)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert said in line and "job.yaml" in line


def test_no_server(tmp_path: Path) -> None:
    result = submit("http://127.0.0.1:9", tmp_path, PRUNE)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "no server answers" in line and "prunescope up" in line


def refusal(home: Path, *options: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "prunescope.cli", "up", *options],
        env=environment(home),
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    return line


def test_one_data_folder_serves_one_at_a_time(address: str, home: Path) -> None:
    assert "another prunescope up uses" in refusal(home, "--port", "0")
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(tmp_path / "home", "--port", str(port))
    assert str(port) in line and "--port" in line
    assert not (tmp_path / "home").exists()


def test_a_host_that_is_none(tmp_path: Path) -> None:
    assert "no.such.host.invalid" in refusal(tmp_path / "home", "--host", "no.such.host.invalid")


def test_it_ends_whole_and_finds_its_data_again(tmp_path: Path, models: Path) -> None:
    """Ctrl-C while a job runs: every process ends, the job is queued again, and the next start takes it up."""
    home = tmp_path / "home"
    roots = str(models)
    long = {"kind": "evaluate", "spec": {"model": "llama", "tasks": ["reviews"]}}
    with up(home, "--no-demo", PRUNESCOPE_MODEL_ROOTS=roots) as (process, address):
        job = submit(address, tmp_path, long).stdout.strip().rpartition("/")[2]
        wait_for(address, job, "running", "succeeded")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert not processes_of(home)
    with up(home, PRUNESCOPE_MODEL_ROOTS=roots) as (process, address):
        wait_for(address, job, "succeeded")
        items = httpx.get(f"{address}/api/v1/jobs").json()["items"]
        assert [item["id"] for item in items] == [job]  # and no demo, for there was a job


def wait_for(address: str, job: str, *states: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        document = httpx.get(f"{address}/api/v1/jobs/{job}").json()
        if document["state"] in states:
            return
        time.sleep(0.05)
    raise AssertionError(document)


@pytest.mark.parametrize("part", ["cli worker", "cli server", "redis-server"])
def test_a_part_that_dies_ends_the_rest(tmp_path: Path, part: str) -> None:
    home = tmp_path / "home"
    with up(home, "--no-demo") as (process, _):
        pids = [pid for pid, command in processes_of(home).items() if part in command]
        os.kill(min(pids), signal.SIGKILL)  # of a worker's two processes the first is the parent
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == 1
    name = part.removeprefix("cli ").removesuffix("-server")
    assert f"the {name} ended" in rest.replace("Redis", "redis")
    assert all_end(home)


def test_nothing_outlives_a_killed_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home, "--no-demo") as (process, _):
        process.kill()
        process.wait()
        assert all_end(home)
