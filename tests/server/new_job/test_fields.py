"""The fields of the form against those of the specs: all of them are shown or named as left out, with their limits."""

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.documents import JobKind
from prunescope.server.new_job.limits import limits_of
from prunescope.server.new_job.sections import LEFT_OUT

WRITTEN_IN = {
    "pattern": "pattern",  # as text, 0.5 or 2:4
    "patterns": "patterns",
    "methods.name": "methods",
    "allocations.name": "allocations",
    "calibrations.dataset": "calibrations",
    "texts.text": "texts",
}
"""Path in a spec -> the field whose value has it and what is below it."""


def shown(client: TestClient, kind: JobKind) -> set[str]:
    address = f"/jobs/new?kind={kind}" + ("&texts.indices=1" if kind is JobKind.ATTRIBUTE else "")
    return {path.rstrip("+") for path in re.findall(r'data-field="([^"]+)"', client.get(address).text)}


def missing(kind: JobKind, fields: set[str]) -> Iterator[str]:
    """Paths of the spec that the form neither shows nor names."""
    paths = limits_of(kind).keys()
    for path in paths:
        above = {path.rsplit(".", steps)[0] for steps in range(path.count(".") + 1)}
        leaf = not any(other.startswith(f"{path}.") for other in paths)
        written = any(WRITTEN_IN.get(part) in fields for part in above)
        if leaf and path not in fields and not written and not above & LEFT_OUT[kind].keys():
            yield path


@pytest.mark.parametrize("kind", list(JobKind))
def test_every_field_of_a_spec_is_shown_or_named_as_left_out(client: TestClient, kind: JobKind) -> None:
    fields = shown(client, kind)
    assert [*missing(kind, fields)] == []
    assert fields.isdisjoint(LEFT_OUT[kind].keys() - {"methods", "allocations"}), "what is shown is not left out"
    assert LEFT_OUT[kind].keys() <= limits_of(kind).keys(), "and what is left out exists"


@pytest.mark.parametrize("kind", list(JobKind))
def test_a_field_that_is_added_to_a_spec_is_missing(client: TestClient, kind: JobKind) -> None:
    fields = shown(client, kind)
    taken_out = (
        "dense" if "dense" in fields else "limit" if "limit" in fields else "tokens" if "tokens" in fields else "model"
    )
    assert taken_out in {*missing(kind, fields - {taken_out})}


@pytest.mark.parametrize(
    ("kind", "path", "limits"),
    [
        ("prune", "calibration.samples", 'min="1" max="65536"'),
        ("prune", "allocation.range", 'min="0" max="0.5"'),
        ("attribute", "placebo", 'min="0" max="2000"'),
        ("explain", "limit", 'min="4" max="20000"'),
        ("corpus", "examples", 'min="1" max="50"'),
        ("study", "perplexity.windows", 'min="1" max="1000000"'),
    ],
)
def test_numbers_have_the_limits_of_the_schema(client: TestClient, kind: str, path: str, limits: str) -> None:
    html = client.get(f"/jobs/new?kind={kind}").text
    assert re.search(rf'id="f-{re.escape(path)}"[^>]* {limits}', html)


def test_a_study_fills_in_all_axes(client: TestClient) -> None:
    spec = {
        "models": ["demo"],
        "methods": ["wanda"],
        "patterns": [0.5],
        "allocations": ["owl", "uniform"],
        "calibrations": [{"dataset": "demo", "samples": 8}],
        "seqlens": [32, 64],
        "seeds": [0, 3],
        "perplexity": {"datasets": ["demo"], "seqlen": 16, "windows": 2, "bos": "never"},
    }
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec}).json()
    html = client.get(f"/jobs/new?from={job['id']}").text
    for path, value in (
        ("seqlens", "32, 64"),
        ("seeds", "0, 3"),
        ("perplexity.datasets", "demo"),
        ("perplexity.windows", "2"),
    ):
        assert re.search(rf'id="f-{re.escape(path)}"[^>]* value="{value}"', html), path
    ticked = re.findall(r'name="allocations" value="([^"]+)" checked', html)
    assert sorted(ticked) == ["owl", "uniform"]
    assert 'value="never" data-note="as the published code cuts running text" selected' in html
