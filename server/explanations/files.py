"""The CSV files of an explanation: all neurons of the model, and the restored shares of all rankings."""

import csv
import io
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.neurons import format_neuron
from prunescope.store.explanations.documents import Explanation

NEURON_COLUMNS = ("margin_share", "integrated_share", "prior_share", "content_share", "change")
CURVE_COLUMNS = ("direction", "ranking", "k", "value", "low", "high", "right_again", "newly_wrong")


def neurons_csv(shares: Mapping[str, NDArray[np.float32]]) -> Iterator[str]:
    """Yield a CSV file with one row for each neuron, layer by layer, a piece for each layer. Undefined shares are
    empty."""
    yield _lines([("neuron", "layer", "index", "rank", *NEURON_COLUMNS)])
    ranks = shares["rank"]
    for layer in range(len(ranks)):
        columns = [shares[name][layer] for name in NEURON_COLUMNS]
        yield _lines(
            [
                (
                    format_neuron(layer, neuron),
                    layer,
                    neuron,
                    int(ranks[layer, neuron]),
                    *("" if np.isnan(column[neuron]) else f"{column[neuron]:.9g}" for column in columns),
                )
                for neuron in range(len(ranks[layer]))
            ]
        )


def curves_csv(document: Explanation) -> str:
    """A CSV file with one row for each ranking and number of neurons, in both directions: `restored` (dense activations
    put into the pruned model) and `lost` (pruned activations put into the dense model)."""
    rows: list[tuple[object, ...]] = [CURVE_COLUMNS]
    for ranking, points in document.curves.items():
        for each in points:
            counts = (each.right_again, each.newly_wrong)
            rows.append(("restored", ranking, each.k, each.restored, each.low, each.high, *counts))
    for ranking, lost in (("margin", document.reverse.margin), ("random", document.reverse.random)):
        rows += [("lost", ranking, each.k, each.lost, each.low, each.high, None, None) for each in lost]
    return _lines(rows)


def _lines(rows: list[tuple[object, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
