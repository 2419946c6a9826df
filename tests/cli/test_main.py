"""How the command ends, and what it imports."""

import subprocess
import sys

import pytest

from cli.main import app
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


def test_a_defect_keeps_its_traceback(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import cli.doctor

    monkeypatch.setattr(cli.doctor, "CHECKS", None)
    result = command("doctor")
    assert result.exit_code == 1 and isinstance(result.exception, AttributeError)


def test_torch_is_not_imported_before_it_is_needed() -> None:
    program = (
        "import sys, cli.main, cli.up, cli.submit, cli.redis, cli.settings, worker.app, server.app, store.submission\n"
        "print([name for name in ('torch', 'transformers', 'lm_eval') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_application_is_the_command() -> None:
    assert app.info.name == "prunescope"
