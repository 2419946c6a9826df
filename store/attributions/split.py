"""Reads why activations changed: their parts by own weights and upstream, and the divergence of predictions."""

import numpy as np
from numpy.typing import NDArray

from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.documents import DropParts, VariantSplit


def split_of(store: ActivationStore, variant: str) -> VariantSplit | None:
    """The split of a pruned variant's changes; None if the attribution has none."""
    return VariantSplit(**store.tables["split"]["variants"][variant]) if store.has_split else None


def not_split(store: ActivationStore) -> list[int]:
    """The layers that could not be split into own and upstream parts."""
    missing: list[int] = store.tables.get("split", {}).get("missing", [])
    return missing


def drop_parts(store: ActivationStore, layer: int, neuron: int) -> dict[str, DropParts]:
    """Pruned variant -> parts of a neuron's drop on its own word; variants without them are omitted."""
    found = {}
    for name in store.variants[1:] if store.has_split else []:
        own, upstream = (float(store.array(f"{kind}_drop/{name}")[layer, neuron]) for kind in ("own", "upstream"))
        if np.isfinite(own):
            found[name] = DropParts(own=own, upstream=upstream)
    return found


def divergence_of(store: ActivationStore, variant: str) -> NDArray[np.float32] | None:
    """KL(dense || pruned) [tokens] of a pruned variant's next-token predictions in nats; None if it was not
    measured."""
    name = f"kl/{variant}"
    return store.array(name) if store.has(name) else None
