"""The benchmark of a study's pages on a small study: the report has every address and the browser; speed is not
tested."""

import json
from pathlib import Path

import pytest

from benchmarks.first_paint import BUDGET_MS, MOMENTS, summary
from benchmarks.studies import main


def test_a_run_times_every_address_and_the_first_paint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, output = tmp_path / "results.md", tmp_path / "out" / "studies.json"
    document.write_text("# Results\n\n<!-- studies cpu -->\nstale\n<!-- end -->\n\nafter\n")
    options = ["--rounds", "2", "--models", "1", "--browser", "--output", str(output), "--document", str(document)]
    main(options)
    results = json.loads(output.read_text())
    addresses = {each["address"] for each in results["addresses"]}
    assert {"/studies/{id}", "/api/v1/studies/{id}", "/evaluations/{id}"} <= addresses
    rounds = results["browser"]["rounds"]
    assert {moment: len(values) for moment, values in rounds.items()} == dict.fromkeys(MOMENTS, 2)
    for response, paint, loaded in zip(*(rounds[moment] for moment in MOMENTS), strict=True):
        assert 0 < response < paint and response < loaded
    assert str(tmp_path) not in output.read_text()
    written = document.read_text()
    assert "| /studies/{id} " in written and "stale" not in written and written.endswith("<!-- end -->\n\nafter\n")
    assert "first contentful paint" in written and "first contentful paint" in capsys.readouterr().out


@pytest.mark.parametrize(("middle", "met"), [(BUDGET_MS - 1, True), (BUDGET_MS, False)])
def test_the_budget_is_of_the_middle_round(middle: float, met: bool) -> None:
    said = summary({moment: [1.0, middle, 10.0 * BUDGET_MS] for moment in MOMENTS})
    assert said["first_paint_ms"] == middle and said["met"] is met
