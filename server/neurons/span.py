"""The sums of a neuron's activations over a selected span of tokens."""

from dataclasses import dataclass

from prunescope.server.neurons.reading import Reading
from prunescope.server.neurons.tokens import DenseAndPruned


@dataclass(frozen=True)
class VariantSum(DenseAndPruned):
    """The sums over the span in the dense and one pruned model. ``own`` and ``upstream`` are the parts of the
    raw change, None if they were not measured."""

    label: str
    dense: float
    pruned: float
    own: float | None
    upstream: float | None


@dataclass(frozen=True)
class SpanSums:
    """The sums of each shown variant over the span's tokens without special tokens and sinks, of which ``counted`` are
    left."""

    first: int
    last: int
    text: str
    counted: int
    sums: list[VariantSum]


def span_sums(reading: Reading) -> SpanSums | None:
    """The sums over the view's span; None without one, or if the text is shorter."""
    span = reading.view.span
    if span is None or span.last >= len(reading.tokens):
        return None
    sums = []
    for each in reading.shown:
        tokens = [token for token in each.tokens[span.first : span.last + 1] if not token.aside]
        own = [token.own for token in tokens if token.own is not None]
        upstream = [token.upstream for token in tokens if token.upstream is not None]
        sums.append(
            VariantSum(
                label=each.variant.label,
                dense=sum(token.dense for token in tokens),
                pruned=sum(token.pruned for token in tokens),
                own=sum(own) if each.variant.own is not None else None,
                upstream=sum(upstream) if each.variant.own is not None else None,
            )
        )
    shown = reading.example.tokens[span.first : span.last + 1]
    return SpanSums(span.first, span.last, "".join(shown).strip(), len(tokens), sums)
