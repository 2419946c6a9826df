"""Formats for the terminal how an attribution's top neurons changed: compared with their controls, and why."""

from collections.abc import Iterator
from pathlib import Path

from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.documents import VariantSplit
from prunescope.store.attributions.tables import AttributionTables


def headline_lines(folder: Path) -> Iterator[str]:
    """Two lines for each pruned variant of a stored attribution: the drops of the top neurons and of controls of
    similar activation, with the p-value of their difference from placebo words; and the parts of the top neurons' drop
    by their own weights and upstream. The second is omitted if the changes could not be split."""
    store = ActivationStore(folder)
    tables = AttributionTables(store)
    draws = tables.summary().placebo
    for name, label in list(zip(store.variants, store.labels, strict=True))[1:]:
        controls = tables.controls(name)
        if controls is None or controls.over_activation_matched.value is None:
            yield f"{label}: top neurons cannot be compared with controls"
            yield from _split_line(label, tables.split(name))
            continue
        top, matched = controls.top.value or 0.0, controls.activation_matched.value or 0.0
        p = controls.p_activation_matched
        claim = "no p-value without placebo words" if p is None else f"p = {p:.2g} from {draws} placebo draws"
        yield f"{label}: top neurons {-top:+.1%}, neurons of similar activation {-matched:+.1%}; {claim}"
        yield from _split_line(label, tables.split(name))


def _split_line(label: str, split: VariantSplit | None) -> Iterator[str]:
    """The line about the parts of the top neurons' drop. The neurons are those of the comparison; their drop here is
    pooled over all texts, whereas that of the comparison is cross-fitted."""
    if split is not None and split.top is not None:
        drop, own, upstream = (f"{0.0 - share:+.1%}" for share in (split.top.drop, split.top.own, split.top.upstream))
        number = f"{split.top.neurons} top neuron{'' if split.top.neurons == 1 else 's'}"
        yield f"{label}: {number} over all texts {drop}: own weights {own}, upstream {upstream}"
