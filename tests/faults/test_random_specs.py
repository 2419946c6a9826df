"""Specs with one thing wrong, made at random, through `submit` and REST: refused by both, or accepted by both."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as often
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prunescope.jobs.bounds import MAX_ERRORS
from tests.cli.conftest import TEXT, Command
from tests.faults.conftest import one_line
from tests.faults.test_random import EXAMPLES, values

CALIBRATION = {"dataset": "demo", "samples": 2, "seqlen": 16, "seed": 1, "bos": "auto"}
SPECS: dict[str, dict[str, Any]] = {
    "prune": {"model": "llama", "method": {"name": "wanda"}, "pattern": "2:4", "calibration": CALIBRATION},
    "evaluate": {
        "model": "llama",
        "tasks": ["reviews", "sst2"],
        "limit": 2,
        "perplexity": {"datasets": ["demo"], "seqlen": 16, "windows": 2, "bos": "never"},
    },
    "attribute": {
        "dense": "llama",
        "pruned": ["llama"],
        "texts": [{"text": TEXT, "label": "negative", "words": ["bad"]}, {"text": "good"}],
        "words": "given",
        "layers": [0, 1],
        "permutations": 10,
        "causal": {"task": "reviews", "neurons": 2},
    },
    "study": {
        "name": "a study",
        "models": ["llama"],
        "methods": ["wanda", {"name": "magnitude"}],
        "patterns": [0.5, "2:4"],
        "calibrations": [CALIBRATION],
        "tasks": ["reviews"],
        "attributions": [{"texts": {"dataset": "reviews", "count": 2}}],
    },
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A job whose spec has one value of another kind, one field too few, too many or under another name."""
    kind = draw(st.sampled_from(list(SPECS)))
    spec = copy.deepcopy(SPECS[kind])
    *above, key = draw(st.sampled_from(list(places(spec))))
    holder: Any = spec
    for step in above:
        holder = holder[step]
    match draw(st.sampled_from(["set", "set", "set", "drop", "rename", "many"])):
        case "set":
            holder[key] = draw(values)
        case "drop":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[draw(st.sampled_from([f"{key}_", "", "\ud800", "x" * 5000, "model"]))] = holder.pop(key)
        case _:
            holder[key] = [holder[key]] * draw(st.sampled_from([2, 300, 200_000]))
    return {"kind": kind, "spec": spec}


@often(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(job=jobs())
def test_a_spec_with_one_thing_wrong(
    command: Command, client: TestClient, root: Path, tmp_path: Path, job: dict[str, Any]
) -> None:
    body = json.dumps(job)
    answer = client.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500 and len(answer.content) < 20_000, answer.content[:2000]
    accepted = answer.status_code in (200, 202)
    if not accepted:
        problem = answer.json()
        assert problem["code"] != "internal" and problem["detail"].strip() and "\n" not in problem["detail"], problem
        assert len(problem.get("errors", [])) <= MAX_ERRORS
    (tmp_path / "job.yaml").write_text(body)
    line = one_line(command("submit", tmp_path / "job.yaml", "--server", "http://127.0.0.1:9"), (1, 2))
    # What only the service knows, such as its models, it alone refuses.
    assert not accepted or "no server answers" in line, (line, answer.json())
