"""The verdict of a cell, and the difference that its rows would have shown."""

import numpy as np
import pytest

from prunescope.jobs.documents import JobState
from prunescope.server.studies.documents import RELEVANT, CellDocument


def cell(**fields: object) -> CellDocument:
    empty = dict.fromkeys(name for name, field in CellDocument.model_fields.items() if field.is_required())
    counts = {"at_chance": False, "best": False, "survives": False, "survivors": 0}
    document = {**empty, **counts, "measurements": 1, "done": 1, "failed": 0, "state": JobState.SUCCEEDED, **fields}
    return CellDocument.model_validate(document)


def test_four_of_five_samples_show_the_detectable_difference() -> None:
    rng = np.random.default_rng(0)
    error, width = 0.02, 2 * 1.959964 * 0.02
    detectable = cell(difference=0.0, difference_interval=(-width / 2, width / 2)).detectable
    assert detectable is not None
    found = rng.normal(detectable, error, 200_000)
    assert (np.abs(found) > width / 2).mean() == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"difference": -0.1, "difference_interval": (-0.14, -0.06), "q": 0.01, "survives": True}, "worse"),
        ({"difference": 0.1, "difference_interval": (0.06, 0.14), "q": 0.01, "survives": True}, "better"),
        # One of many measurements: its interval excludes 0, its q is above 0.05.
        ({"difference": -0.1, "difference_interval": (-0.19, -0.01), "q": 0.2}, "too few rows to tell"),
        ({"difference": 0.01, "difference_interval": (-0.02, 0.04), "q": 0.7}, "no difference seen"),
        ({"difference": -0.02, "difference_interval": (-0.03, -0.01), "survivors": 1}, "worse"),
        ({"difference": 0.3, "ratio": 1.3, "difference_interval": (0.2, 0.4), "q": 0.001, "survives": True}, "worse"),
        ({"difference": -0.1}, None),
        ({}, None),
    ],
)
def test_verdicts(fields: dict[str, object], verdict: str | None) -> None:
    given = {"difference": None, "difference_interval": None, **fields}
    assert cell(**given).verdict == verdict
    assert cell(**given).model_dump()["verdict"] == verdict


def test_what_counts_as_too_few_rows_is_the_size_of_a_loss_that_matters() -> None:
    narrow, wide = (cell(difference=0.0, difference_interval=(-end, end), q=1.0) for end in (0.034, 0.036))
    assert narrow.detectable is not None and wide.detectable is not None
    assert narrow.detectable < RELEVANT < wide.detectable
    assert (narrow.verdict, wide.verdict) == ("no difference seen", "too few rows to tell")
