"""The benchmark of gradient's estimates, run small."""

import json
from pathlib import Path

import pytest

from benchmarks.word_effects import main


def test_it_compares_both_sources_and_prints_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "effects.json"
    main(["demo", "--task", "reviews", "--texts", "2", "--output", str(output)])
    found = json.loads(output.read_text(encoding="utf-8"))["tasks"]["reviews"]
    assert len(found["rows"]) == 2
    for row in found["rows"]:
        assert -1 <= row["correlation"] <= 1 and 0 <= row["overlap"] <= 1 and row["first"] in (0, 1)
    assert "reviews (2 rows)" in capsys.readouterr().out
