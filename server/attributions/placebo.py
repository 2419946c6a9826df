"""The histogram of what placebo words give, for the page and the document of an attribution."""

import numpy as np

from prunescope.server.attributions.documents import PlaceboBin, PlaceboDraws
from prunescope.store.attributions.documents import Controls
from prunescope.store.attributions.tables import AttributionTables

BINS = 24
MARGIN = 0.02
"""Part of the axis that is empty at each end."""


def placebo_draws(tables: AttributionTables, variant: str, controls: Controls) -> PlaceboDraws | None:
    """The differences between top neurons and activation-matched controls that placebo words give in a variant; None
    without placebo words or where no difference is defined."""
    found, observed = tables.placebo(variant), controls.over_activation_matched.value
    if found is None or observed is None:
        return None
    values = found[np.isfinite(found[:, 0]), 0].astype(np.float64)
    if not len(values):
        return None
    least, most = min(values.min(), observed), max(values.max(), observed)
    margin = MARGIN * (most - least) or MARGIN
    low, high = least - margin, most + margin
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    width = 100 / BINS
    return PlaceboDraws(
        draws=len(values),
        mean=float(values.mean()),
        middle=tuple(np.percentile(values, [2.5, 97.5]).tolist()),
        low=low,
        high=high,
        place=round(100 * (observed - low) / (high - low), 2),
        bins=[
            PlaceboBin(
                low=edges[place],
                high=edges[place + 1],
                count=int(count),
                x=round(place * width + 0.2, 2),
                width=round(width - 0.4, 2),
                height=round(100 * count / counts.max(), 2),
            )
            for place, count in enumerate(counts)
        ],
    )
