"""The benchmark of lists on a few attributions: that every address is asked, not how fast."""

import json
from pathlib import Path

import pytest

from benchmarks.lists import main


def test_a_run_times_every_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, output = tmp_path / "results.md", tmp_path / "out" / "lists.json"
    document.write_text("# Results\n\n<!-- lists cpu -->\nstale\n<!-- end -->\n\nafter\n")
    options = ["--rounds", "1", "--attributions", "250", "--output", str(output), "--document", str(document)]
    main(options)
    results = json.loads(output.read_text())
    found = {each["address"]: each["kilobytes"] for each in results["addresses"]}
    assert {"/attributions", "/api/v1/attributions", "/models/demo"} <= found.keys()
    assert found["/api/v1/attributions?limit=200"] > 2 * found["/api/v1/attributions"]
    written = document.read_text()
    assert "| /attributions " in written and "stale" not in written and written.endswith("<!-- end -->\n\nafter\n")
    assert "addresses took more than" in capsys.readouterr().out
