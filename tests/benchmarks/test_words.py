"""The benchmark of the constrained list, run small."""

import json
from pathlib import Path

from benchmarks.words import main


def test_it_measures_both_sources_and_writes_its_table(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("before\n<!-- words cpu -->\n<!-- end -->\nafter\n", encoding="utf-8")
    output = tmp_path / "words.json"
    main(["demo", "--task", "reviews", "--texts", "2", "--output", str(output), "--document", str(page)])
    document = json.loads(output.read_text(encoding="utf-8"))
    assert document["texts"] == 2 and document["sources"].keys() == {"cot", "cot-free"}
    assert document["sources"]["cot"]["words"] == 2  # the constrained list is never empty
    assert "times the time of the free answer" in page.read_text(encoding="utf-8")
