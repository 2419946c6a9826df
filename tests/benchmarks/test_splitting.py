"""The benchmark of the split, on tiny models."""

import time
from pathlib import Path

import pytest

from benchmarks.splitting import STEPS, markdown, measure
from tests.nsa.test_attribution import TEXTS, language_model


def test_a_round_measures_every_step(tmp_path: Path) -> None:
    found = measure(language_model("llama"), language_model("llama", 0.5), TEXTS, 2, time.perf_counter, tmp_path)
    assert found["texts"] == 3 and found["tokens"] > 20
    assert all(found["seconds"][step] > 0 for step in ("alone", "floor", *STEPS))
    assert len(found["ratios"]) == 2 and found["ratio"] == pytest.approx(sum(found["ratios"]) / 2)
    assert list(tmp_path.iterdir()) == []
    shown = markdown({"command": "python -m", "clock": "wall", "machine": "a machine", "found": found})
    assert f"{found['ratio']:.2f} times recording alone" in shown
