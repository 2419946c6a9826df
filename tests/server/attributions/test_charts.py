"""The histogram of changes on an attribution's page."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prunescope.server.attributions.charts import changes

DROPS = st.lists(st.none() | st.floats(-3, 1), max_size=30)


@given(DROPS)
def test_every_drop_is_counted_once_in_its_bin(drops: list[float | None]) -> None:
    document = SimpleNamespace(score_map=SimpleNamespace(drops=[drops[:10], drops[10:]]))
    found = changes(document)  # type: ignore[arg-type]
    known = [drop for drop in drops if drop is not None]
    if not known:
        assert found is None
        return
    assert found is not None
    assert sum(bin.count for bin in found.bins) == found.neurons == len(known)
    assert found.fell == sum(drop > 0 for drop in known)
    assert found.median == -np.median(known)
    assert found.bins[0].low == found.low and found.high >= 0
    for bin in found.bins:
        high = np.inf if bin.high is None else bin.high
        percents = [-100 * drop for drop in known]
        assert bin.count == sum(bin.low <= percent < high for percent in percents)
    edges = [bin.low for bin in found.bins]
    assert edges == list(range(found.low, found.high, 10))
    assert max(bin.height for bin in found.bins) == 100
    assert 0 <= found.middle <= 100 and 0 < found.zero <= 100
