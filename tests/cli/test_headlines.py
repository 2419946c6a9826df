"""The terminal's lines about top neurons and controls."""

from pathlib import Path

import pytest
import zarr

from prunescope.cli.headlines import headline_lines
from prunescope.nsa.attribution import Options
from prunescope.store.attributions.activations import ActivationStore
from tests.nsa.test_attribution import language_model, run


def test_the_line_of_each_variant(tmp_path: Path) -> None:
    dense, pruned = (lambda: language_model("llama")), (lambda: language_model("llama", 0.5))
    run(tmp_path / "a", dense, [pruned, dense], options=Options(placebo=20))
    first, parts, second, nothing = headline_lines(tmp_path / "a")
    assert first.startswith("pruned-1: top neurons ")
    assert first.endswith(" from 20 placebo draws")
    assert second.startswith("pruned-2: top neurons -0.0%, neurons of similar activation -0.0%; p = ")
    top = ActivationStore(tmp_path / "a").tables["split"]["variants"]["pruned-1"]["top"]
    assert parts == (
        f"pruned-1: 10 top neurons over all texts {-top['drop']:+.1%}: "
        f"own weights {-top['own']:+.1%}, upstream {-top['upstream']:+.1%}"
    )
    assert top["own"] + top["upstream"] == pytest.approx(top["drop"])
    assert nothing == "pruned-2: 10 top neurons over all texts +0.0%: own weights +0.0%, upstream +0.0%"
    run(tmp_path / "b", dense, [pruned], options=Options(placebo=0, permutations=0))
    line, _ = headline_lines(tmp_path / "b")
    assert line.endswith("; no p-value without placebo words")


def test_no_line_of_parts_without_a_split(tmp_path: Path) -> None:
    dense, pruned = (lambda: language_model("llama")), (lambda: language_model("llama", 0.5))
    run(tmp_path / "a", dense, [pruned], options=Options(placebo=20))
    del zarr.open_group(str(tmp_path / "a"), mode="r+")["tables"].attrs["split"]
    lines = list(headline_lines(tmp_path / "a"))
    assert len(lines) == 1 and "own weights" not in lines[0]
