"""Reads why activations changed: their parts by own weights and upstream, and the divergence of predictions."""

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.neurons import format_head, format_neuron
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.documents import ChangedWeight, DropParts, HeadWriter, VariantSplit, Writer


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


def changed_weights(store: ActivationStore, layer: int, neuron: int) -> dict[str, list[ChangedWeight]]:
    """Pruned variant -> the changed weights that moved a neuron's pre-activations most, largest magnitude first."""
    matrices = store.tables.get("split", {}).get("matrices", {}).get(str(layer))
    if matrices is None:
        return {}
    found = {}
    for name, row in store.changed_of(layer, neuron).items():
        places, sizes = np.split(row, 2)
        found[name] = [
            _changed_weight(store, layer, matrices, int(place), float(size))
            for place, size in zip(places, sizes, strict=True)
            if np.isfinite(size)
        ]
    return found


def _changed_weight(store: ActivationStore, layer: int, matrices: list[str], place: int, size: float) -> ChangedWeight:
    width = store.tables["split"]["width"]
    matrix, dimension = divmod(place, width)
    writers = []
    if store.has("writers"):
        for number, written in zip(
            store.array("writers")[layer, dimension].tolist(),
            store.array("writer_sizes")[layer, dimension].tolist(),
            strict=True,
        ):
            if number >= 0:
                writers.append(_writer(store, number, written))
    return ChangedWeight(matrix=matrices[matrix], dimension=dimension, contribution=size, writers=writers)


def _writer(store: ActivationStore, number: int, size: float) -> Writer | HeadWriter:
    """The neuron or attention head with this number in the array `writers`."""
    if number < store.layers * store.neurons:
        layer, neuron = divmod(number, store.neurons)
        return Writer(layer=layer, neuron=neuron, name=format_neuron(layer, neuron), size=size)
    layer, head = divmod(number - store.layers * store.neurons, store.tables["split"]["heads"])
    return HeadWriter(layer=layer, head=head, name=format_head(layer, head), size=size)


def has_head_writers(store: ActivationStore) -> bool:
    """Whether attention heads are among the writers."""
    return store.tables.get("split", {}).get("heads") is not None


def divergence_of(store: ActivationStore, variant: str) -> NDArray[np.float32] | None:
    """KL(dense || pruned) [tokens] of a pruned variant's next-token predictions in nats; None if it was not
    measured."""
    name = f"kl/{variant}"
    return store.array(name) if store.has(name) else None
