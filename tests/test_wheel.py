"""The wheel, built and installed where nothing else of the project is, in a folder with modules of our names."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGES = "tests/server/site tests/server/test_app.py tests/server/test_without_scipy.py tests/pages/test_links.py"
"""Tests that also run against the wheel; `make test-installed` names all of the server's and the pages'."""
SOME_CELLS = 4
"""Of the demo study, models pruned and evaluated: enough to know that the worker has all that it needs."""
DECOYS = ("cli", "jobs", "lm", "numpy", "redis", "server", "store", "text", "typer", "worker")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what an earlier build left in the checkout must not come into it."""
    source, folder = tmp_path_factory.mktemp("source") / "prunescope", tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "*.egg-info", "build", "tests", "benchmarks", "__pycache__", "node_modules")
    shutil.copytree(ROOT, source, symlinks=True, ignore=left_out)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(build, check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel; what it depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    # A path in a .pth file is searched, but .pth files there are not read: not the one of the checkout either.
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel], check=True)
    return folder / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working folder whose modules end whoever imports them."""
    for name in DECOYS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the decoy {name} was imported')\n")
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PRUNESCOPE_", "PYTHON"))}
    return {**kept, "PRUNESCOPE_HOME": str(folder / "home")}


def test_one_name_and_all_that_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"prunescope"}
    inside = {name.removeprefix("prunescope/") for name in names}
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {link.name for link in (ROOT / "prunescope").iterdir() if link.is_symlink()}
    needed = {name for name in files if name.split("/")[0] in folders and not name.endswith(("README.md", ".d.ts"))}
    assert needed <= inside, needed - inside
    own = {file.name for file in (ROOT / "prunescope").iterdir() if file.is_file()}
    assert {"__init__.py", "py.typed"} <= own <= inside


def test_import_is_quick_to_say_and_brings_no_torch(installed: Path, elsewhere: Path) -> None:
    code = "import sys, prunescope; print(prunescope.__file__); print('torch' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run([installed / "python", "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True)
    place, heavy = done.stdout.split()
    assert Path(place).is_relative_to(installed.parent) and heavy == "False"


def answer(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=60) as response:
        return json.load(response)


def test_the_demo_study_runs(installed: Path, elsewhere: Path) -> None:
    command = [installed / "prunescope", "up", "--port", "0"]
    with subprocess.Popen(
        command, env=environment(elsewhere), cwd=elsewhere, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if "Ctrl-C" in line:
                    break
            found = re.search(r"ready: (http://\S+)", "".join(said))
            assert found, "".join(said)
            address = found[1]
            done = failed = 0
            while done < SOME_CELLS and not failed:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.5)
                (study,) = answer(f"{address}/api/v1/studies")["items"]
                done, failed = study["done"], study["failed"]
            assert not failed, answer(f"{address}/api/v1/studies/{study['id']}")["failures"]
            pages = (
                "",
                "studies",
                "models",
                "evaluations",
                "attributions",
                "jobs",
                "docs",
                "guide/attribution",
                f"studies/{study['id']}",
            )
            for page in pages:
                with urllib.request.urlopen(f"{address}/{page}", timeout=60) as response:
                    assert response.status == 200
        finally:
            process.terminate()


def test_pages_and_api_are_the_same_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The tests from a folder of their own: nothing of the checkout but them is there to be imported."""
    for name in ("tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "screenshots"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    chosen = os.environ.get("PRUNESCOPE_WHEEL_TESTS", PAGES).split()
    command = [installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
