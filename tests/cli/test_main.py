"""The command's exit codes and error lines, and the modules that it imports."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from prunescope.cli.main import app
from tests.cli.conftest import Command, refused


def test_help_names_the_subcommands(command: Command) -> None:
    result = command("--help")
    assert result.exit_code == 0
    for name in ("up", "server", "worker", "prune", "evaluate", "attribute", "submit", "doctor"):
        assert name in result.stdout
        assert command(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prun",), "'prun'"),
        (("prune", "--frob"), "--frob"),
        (("up", "--port", "x"), "--port"),
        (("up", "--port", "70000"), "--port"),
    ],
)
def test_wrong_usage_is_one_line(command: Command, arguments: tuple[str, ...], said: str) -> None:
    refused(command(*arguments), said)


@pytest.mark.parametrize("name", ["PRUNESCOPE_PORT", "PRUNESCOPE_LEASE_SECONDS", "PRUNESCOPE_MODEL_ROOTS"])
def test_a_wrong_setting_names_its_variable(command: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "[no")
    refused(command("doctor"), name)


def test_a_defect_is_one_line_and_its_traceback_a_file(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from prunescope.cli import doctor

    monkeypatch.setattr(doctor, "CHECKS", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = command("doctor")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    (log,) = tmp_path.glob("prunescope-*.log")
    assert line.startswith("prunescope: stopped by an unexpected AttributeError") and str(log) in line
    assert "Traceback" in log.read_text() and "cli/doctor.py" in log.read_text() and "torch" in log.read_text()


def test_a_traceback_is_printed_where_it_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PRUNESCOPE_DEBUG", "1")
    refused(command("submit", "none.yaml"), "none.yaml: No such file")
    assert "Traceback" in command("submit", "none.yaml").stderr
    assert not list(tmp_path.iterdir())


def test_streams_that_cannot_be_written_to(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "prunescope.cli", "doctor"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1 and result.stderr.splitlines() == [
        "prunescope: the disk is full: make room there, then try again"
    ]
    closed = subprocess.run(["sh", "-c", f"{' '.join(program)} 2>&-"], capture_output=True, text=True, check=False)
    assert "Python" in closed.stdout and not closed.stderr


def test_torch_is_not_imported_before_it_is_needed() -> None:
    program = (
        "import sys\n"
        "from prunescope import settings\nfrom prunescope.cli import main, redis, submit, up\n"
        "import prunescope.server.app, prunescope.store.submission, prunescope.worker.app\n"
        "print([name for name in ('torch', 'transformers', 'lm_eval') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_application_is_the_command() -> None:
    assert app.info.name == "prunescope"
