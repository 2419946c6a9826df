"""Scales of activations and of differences, and their legends, on the pages of neurons and layers."""

from collections.abc import Iterable
from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.view import View, transformed
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale
from prunescope.server.site.parts import Legend

PANE_TERMS = {
    "dense": "activation",
    "pruned": "activation",
    "difference": "difference",
    "own": "own weights",
    "upstream": "upstream",
    "divergence": "KL divergence",
}
"""Kind of a pane -> the word of the glossary that defines its values."""


@dataclass(frozen=True)
class Largest:
    """The largest magnitudes of a neuron's activations and of their differences."""

    activation: float
    difference: float


def largest_of(neuron: NeuronDocument, activation: str) -> Largest:
    """Over all texts and all variants; without special tokens and sinks, as for every scale."""
    dense, *pruned = neuron.variants
    largest = difference = 0.0
    for place, example in enumerate(neuron.examples):
        for position, (special, sink) in enumerate(zip(example.special, example.sinks, strict=True)):
            if special or sink:
                continue
            before = transformed(dense.activations[place][position], activation)
            after = [transformed(variant.activations[place][position], activation) for variant in pruned]
            largest = max(largest, abs(before), *map(abs, after))
            difference = max(difference, *(abs(value - before) for value in after))
    return Largest(largest, difference)


def scales_of(values: Iterable[tuple[float, ...]], view: View, largest: Largest | None = None) -> list[Scale]:
    """The scales of the dense values, of each variant's, and of each variant's differences, from the values (dense,
    variant, ...) of the tokens. ``largest`` is that of the neuron, which the scale ``neuron`` needs."""
    columns = list(zip(*values, strict=True)) or [(), ()]
    dense, *pruned = columns
    tops = [max(map(abs, column), default=0.0) for column in columns]
    changes = [
        max((abs(after - before) for before, after in zip(dense, column, strict=True)), default=0.0)
        for column in pruned
    ]
    if view.scale == "neuron":
        assert largest is not None
        tops, changes = [largest.activation] * len(tops), [largest.difference] * len(changes)
    elif view.scale == "shared":
        tops, changes = [max(tops)] * len(tops), [max(changes)] * len(changes)
    return [Scale(top, view.curve) for top in (*tops, *changes)]


def legend_of(scale: Scale, activation: str | None) -> Legend:
    """The legend of a scale of activations (from -top if ``activation`` is raw), or of differences (None)."""
    if activation is None:
        return Legend(formats.activation(-scale.top), "0", formats.signed(scale.top), "difference-ramp")
    high = formats.activation(scale.top)
    if activation == "raw":
        return Legend(formats.activation(-scale.top), "0", high, "signed-ramp")
    return Legend("0", formats.activation(scale.middle), high, "heat-ramp")
