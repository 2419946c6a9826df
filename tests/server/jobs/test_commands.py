"""The forms of a job: what each says is read by the program that it is written for, and gives the same spec."""

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prunescope import running
from prunescope.cli.main import app
from prunescope.cli.submit import read_request
from prunescope.errors import PrunescopeError, Refusal
from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs import Spec, parse_spec
from prunescope.server.jobs.commands import Command, commands_of
from prunescope.server.jobs.documents import EXAMPLES

SERVER = "http://localhost:8000/"
QUOTES = 'It\'s "so" $BAD `really`\n\\n \U0001f642 שלום \u202e END'
RICH: list[tuple[str, dict[str, Any]]] = [
    (
        "prune",
        {
            "model": "demo",
            "method": {"name": "sparsegpt", "damping": 1e-5},
            "pattern": 0.3,
            "allocation": {"name": "owl"},
            "calibration": {"dataset": "rte", "mode": "single", "samples": 3, "seqlen": 50, "seed": 7, "bos": "never"},
        },
    ),
    ("prune", {"model": "a model", "method": "magnitude", "pattern": "2:4"}),
    ("prune", {"model": "demo", "method": "wanda", "pattern": 0, "calibration": {"file": "my texts.jsonl"}}),
    (
        "evaluate",
        {
            "model": "owner/name@main",
            "tasks": ["sst2", "reviews"],
            "limit": 5,
            "newline": "literal",
            "seed": 3,
            "perplexity": {"datasets": ["demo", "a b.txt"], "seqlen": 8, "windows": 2, "bos": "always"},
        },
    ),
    ("evaluate", {"model": "demo", "perplexity": ["wikitext2"]}),
    (
        "attribute",
        {
            "dense": "demo",
            "pruned": ["pruned:0123456789abcdef", "other"],
            "texts": [{"text": QUOTES, "label": "negative", "words": ["BAD"]}, {"text": "fine", "words": []}],
            "prompt": "reviews",
            "words": {"source": "manual", "content": True},
            "activation": "abs",
            "layers": [0, 2],
            "placebo": 0,
            "permutations": 10,
            "floor": 0.25,
            "special_tokens": True,
            "sinks": True,
            "causal": {"task": "reviews", "limit": None, "draws": 3, "neurons": 4, "layers": [2]},
            "seed": 5,
        },
    ),
    ("attribute", {"dense": "demo", "pruned": ["other"], "texts": ["one", "two"]}),
    (
        "explain",
        {
            "dense": "demo",
            "pruned": "other",
            "task": "sst2",
            "rows": "all",
            "limit": 9,
            "neurons": [2, 4],
            "heads": False,
            "sinks": True,
            "content": True,
            "steps": 3,
            "draws": 4,
            "seed": 2,
        },
    ),
    ("explain", {"dense": "demo", "pruned": "other", "perplexity": {"dataset": "demo", "seqlen": 9}}),
    ("explain", {"dense": "demo", "pruned": "other", "perplexity": {"dataset": "demo", "bos": "never"}}),
    (
        "corpus",
        {
            "models": ["demo", "other"],
            "dataset": "c4",
            "tokens": 2000,
            "seqlen": 12,
            "examples": 3,
            "layers": [1],
            "writes": False,
            "sinks": True,
            "seed": 1,
        },
    ),
]
JOBS = [*((str(kind), spec) for kind, spec in EXAMPLES.items()), *RICH]


@pytest.fixture(params=JOBS, ids=lambda job: f"{job[0]}-{len(str(job[1]))}")
def job(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    given: tuple[str, dict[str, Any]] = request.param
    return given


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Spec]:
    """The specs that command and Python API would run, in an empty working folder."""
    specs: list[Spec] = []

    def stop(spec: Spec, *_: object) -> None:
        specs.append(spec)
        raise Refusal("stopped by the test")

    for stage in ("prune", "evaluate", "attribute", "explain", "corpus"):
        monkeypatch.setattr(running, stage, stop)
    monkeypatch.chdir(tmp_path)
    return specs


def forms(job: tuple[str, dict[str, Any]], **more: object) -> dict[str, Command]:
    kind, spec = job
    commands = commands_of(parse_spec(kind, spec), {"kind": kind, "spec": spec, **more}, SERVER)
    return {command.form: command for command in commands}


def arguments_of(program: str, text: str) -> list[str]:
    """What a shell passes to the program."""
    script = f"{program}() {{ printf '%s\\0' \"$@\"; }}\n{text}\n"
    output = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    return output.decode().split("\0")[:-1]


def test_curl_sends_the_request(job: tuple[str, dict[str, Any]]) -> None:
    address, _, header, _, body = arguments_of("curl", forms(job, force=True)["curl"].text)
    assert (address, header) == (f"{SERVER}api/v1/jobs", "content-type: application/json")
    assert json.loads(body) == {"kind": job[0], "spec": job[1], "force": True}


def test_yaml_is_read_by_submit(job: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(forms(job)["yaml"].text, encoding="utf-8")
    request = read_request(file)
    assert (request["kind"], parse_spec(request["kind"], request["spec"])) == (job[0], parse_spec(*job))


def test_python_names_server_and_spec(job: tuple[str, dict[str, Any]]) -> None:
    text = forms(job, force=True)["python"].text
    assigned = {
        ast.unparse(each.targets[0]): each.value for each in ast.parse(text).body if isinstance(each, ast.Assign)
    }
    assert ast.literal_eval(assigned["spec"]) == job[1]
    assert ast.unparse(assigned["client"]) == f"prunescope.connect({SERVER.rstrip('/')!r})"
    assert ast.unparse(assigned["job"]) == f"client.submit({job[0]!r}, spec, force=True).wait()"


def test_the_command_runs_the_same_spec(job: tuple[str, dict[str, Any]], runs: list[Spec]) -> None:
    command = forms(job)["command"]
    arguments = arguments_of("prunescope", command.text)
    if arguments[0] == "submit":
        assert arguments == ["submit", "job.yaml", "--server", SERVER.rstrip("/"), "--wait"]
        assert "without a server" in command.note or "on a server only" in command.note
        return
    result = CliRunner().invoke(app, arguments)
    assert "stopped by the test" in result.stderr, result.stderr
    assert runs == [parse_spec(*job)]


def test_a_command_without_a_server_exists_where_its_options_suffice() -> None:
    kinds = {kind for kind, spec in RICH if forms((kind, spec))["command"].text.startswith("prunescope submit")}
    assert kinds == {"explain"}, "of windows that begin without BOS"
    assert forms(("study", EXAMPLES[JobKind.STUDY]), force=True)["command"].text.endswith("--force --wait")


def test_python_without_a_server_runs_the_same_spec(job: tuple[str, dict[str, Any]], runs: list[Spec]) -> None:
    found = forms(job).get("local")
    assert (found is None) == (job[0] == "study")
    if found is not None:
        with pytest.raises(PrunescopeError, match="stopped by the test"):
            exec(compile(found.text, "local", "exec"), {})
        assert runs == [parse_spec(*job)]
