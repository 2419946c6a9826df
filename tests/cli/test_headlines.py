"""The terminal's lines about top neurons and controls."""

from pathlib import Path

from prunescope.cli.headlines import headline_lines
from prunescope.nsa.attribution import Options
from tests.nsa.test_attribution import language_model, run


def test_the_line_of_each_variant(tmp_path: Path) -> None:
    dense, pruned = (lambda: language_model("llama")), (lambda: language_model("llama", 0.5))
    run(tmp_path / "a", dense, [pruned, dense], options=Options(placebo=20))
    first, second = headline_lines(tmp_path / "a")
    assert first.startswith("pruned-1: top neurons ")
    assert first.endswith(" from 20 placebo draws")
    assert second.startswith("pruned-2: top neurons -0.0%, neurons of similar activation -0.0%; p = ")
    run(tmp_path / "b", dense, [pruned], options=Options(placebo=0, permutations=0))
    (line,) = headline_lines(tmp_path / "b")
    assert line.endswith("; no p-value without placebo words")
