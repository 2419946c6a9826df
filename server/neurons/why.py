"""Context of the part of a neuron's page that answers why its activation changed."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.store.attributions.documents import ChangedWeight, Writer


@dataclass(frozen=True)
class WordParts:
    """The change of the neuron's mean activation A_m on a word over all texts (pruned - dense), with its parts."""

    word: str
    change: float
    own: float

    @property
    def upstream(self) -> float:
        return self.change - self.own


@dataclass(frozen=True)
class WhyCard:
    """The context of ``neurons/why.html`` for one pruned variant. ``own`` and ``upstream`` are the parts of the drop on
    the neuron's own word, None if it has no drop; ``words`` are the influential words, largest change first;
    ``weights`` are the changed weights that moved its pre-activations most."""

    own: float | None
    upstream: float | None
    words: list[WordParts]
    weights: list[ChangedWeight]
    hrefs: dict[str, str]  # name of a neuron that writes into a dimension -> address of its page; heads have none
    heads: bool  # whether attention heads are among the writers

    @property
    def drop(self) -> float | None:
        return None if self.own is None or self.upstream is None else self.own + self.upstream


def why_card(document: NeuronDocument, pruned: Variant) -> WhyCard | None:
    """The parts of a neuron's change in a variant; None if they were not measured."""
    if pruned.own is None:
        return None
    weights = document.changed_weights.get(pruned.name, [])
    parts = document.drop_parts.get(pruned.name)
    words = [
        WordParts(word.word, after - before, word.own[pruned.name])
        for word in document.words
        if pruned.name in word.own
        and (before := word.values.get("dense")) is not None
        and (after := word.values.get(pruned.name)) is not None
    ]
    return WhyCard(
        own=None if parts is None else parts.own,
        upstream=None if parts is None else parts.upstream,
        words=sorted(words, key=lambda row: -abs(row.change)),
        weights=weights,
        hrefs={
            writer.name: urls.neuron(document.attribution, writer.layer, writer.neuron)
            for weight in weights
            for writer in weight.writers
            if isinstance(writer, Writer)
        },
        heads=document.head_writers,
    )
