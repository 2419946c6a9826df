"""The benchmark of the fitted tail: its rates against counted ones, and a small run on the demo model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.tail import LAWS, LEVELS, critical, main, multiples
from prunescope.nsa.significance import fit_tail, p_values


def test_at_the_critical_value_p_is_the_level() -> None:
    draws = torch.from_numpy(stats.gamma(2).rvs(size=(200, 50), random_state=1))
    tail = fit_tail(draws)
    assert tail is not None
    for level in LEVELS:
        values = critical(tail, level)
        assert tail.p_values(values).numpy() == pytest.approx(level)
        assert p_values(draws, values) == pytest.approx(level)


def test_rates_are_those_of_counted_false_positives() -> None:
    """Values drawn from the law of the draws, and how many of them have a p of at most 0.001."""
    law, found, counted = stats.t(3), [], []
    for seed in range(20):
        draws, observed = law.rvs(size=(200, 5000), random_state=seed), law.rvs(size=5000, random_state=100 + seed)
        tail = fit_tail(torch.from_numpy(draws))
        assert tail is not None
        found.append(multiples(tail, lambda values: np.asarray(law.sf(values.numpy())))[:, 0].mean())
        counted.append((p_values(torch.from_numpy(draws), torch.from_numpy(observed)) <= 0.001).mean() / 0.001)
    assert np.mean(found) == pytest.approx(np.mean(counted), abs=4 * np.std(counted) / np.sqrt(20))


def test_known_draws_suffice_for_the_fits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--known", "1000"])
    assert "--known 1000: at least 4000" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_makes_the_table(tmp_path: Path) -> None:
    document, output = tmp_path / "results.md", tmp_path / "results.json"
    document.write_text("<!-- tail demo -->\n<!-- end -->\n")
    few = ["--texts", "6", "--draws", "20", "--known", "400", "--fits", "50", "--layers", "1"]
    threads = ["--threads", str(torch.get_num_threads())]
    main(["demo", *few, *threads, "--output", str(output), "--document", str(document)])
    rates = json.loads(output.read_text())["rates"]
    assert [rate["law"] for rate in rates[:-2]] == [*LAWS] and rates[-2]["law"] == "neurons of demo, mean"
    assert all(multiple >= 0 for rate in rates for multiple in rate["multiples"])
    assert "| Student, 3 degrees" in document.read_text()
