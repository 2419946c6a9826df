"""Formats the comparison of an attribution's top neurons with their controls for the terminal."""

from collections.abc import Iterator
from pathlib import Path

from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.tables import AttributionTables


def headline_lines(folder: Path) -> Iterator[str]:
    """One line for each pruned variant of a stored attribution: the drops of the top neurons and of controls of similar
    activation, and the p-value of their difference from placebo words."""
    store = ActivationStore(folder)
    tables = AttributionTables(store)
    draws = tables.summary().placebo
    for name, label in list(zip(store.variants, store.labels, strict=True))[1:]:
        controls = tables.controls(name)
        if controls is None or controls.over_activation_matched.value is None:
            yield f"{label}: top neurons cannot be compared with controls"
            continue
        top, matched = controls.top.value or 0.0, controls.activation_matched.value or 0.0
        p = controls.p_activation_matched
        claim = "no p-value without placebo words" if p is None else f"p = {p:.2g} from {draws} placebo draws"
        yield f"{label}: top neurons {-top:+.1%}, neurons of similar activation {-matched:+.1%}; {claim}"
