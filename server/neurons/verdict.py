"""The sentences at the top of a neuron's page: whether it responds to influential words, and what pruning took."""

from collections.abc import Iterator
from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronControls, NeuronDocument, Variant
from prunescope.server.neurons.queries import CALIBRATED, SIGNIFICANT
from prunescope.server.site import formats


@dataclass(frozen=True)
class Part:
    """A part of a sentence. ``term`` is the word of the glossary that defines it, None for plain text."""

    text: str
    term: str | None = None


def verdict(document: NeuronDocument, pruned: Variant) -> list[Part]:
    """The neuron's response, its loss in ``pruned`` beside the controls', and the share of its output weights that is
    pruned, each as a sentence. What the attribution cannot tell is said."""
    return [*_response(document), *_loss(document, pruned), *_weights(document, pruned)]


def origin_of_p(document: NeuronDocument) -> str:
    """From which draws p is: ``200 draws of placebo words``."""
    draws = formats.plural(document.placebo or document.permutations, "draw")
    return f"{draws} of {'placebo words' if document.placebo else 'random tokens'}"


def _response(document: NeuronDocument) -> Iterator[Part]:
    word = document.word
    if word is None:
        yield Part("Nothing can be told about a response: it is active on no influential word in the dense model.")
    elif document.rank is None:
        yield Part(f"Nothing can be told about a response to “{word}”: the neuron is not ranked.")
    elif document.format < CALIBRATED:
        yield Part(
            f"Whether it responds to “{word}” cannot be told: this attribution is of an earlier version, whose "
            "p-values are not calibrated. Run it again."
        )
    elif document.q_value is None:
        yield Part(f"Whether it responds to “{word}” cannot be told: no p-value was computed.")
    else:
        yield from _tested(document, word, document.q_value)


def _tested(document: NeuronDocument, word: str, q: float) -> Iterator[Part]:
    origin = f" (q {formats.activation(q)}, p from {origin_of_p(document)})"
    if q >= SIGNIFICANT:
        yield Part("No response to influential words is ")
        yield Part("significant at FDR 5 %", "q")
        yield Part(f"{origin}; it is most active on “{word}”.")
    elif document.placebo:
        yield Part(f"Responds to influential words, most to “{word}”: ")
        yield Part("significant at FDR 5 %", "q")
        yield Part(f"{origin}.")
    else:
        yield Part(f"Whether it responds to “{word}” cannot be told without ")
        yield Part("placebo words", "placebo words")
        yield Part(f": random tokens call any words significant{origin}.")


def _loss(document: NeuronDocument, pruned: Variant) -> Iterator[Part]:
    word, drop = document.word, document.drops.get(pruned.name)
    if word is None:
        return
    if drop is None:
        yield Part(
            f" What {pruned.label} took of its activation on “{word}” cannot be told: the dense model has none there."
        )
        return
    took = f"took {formats.percent(drop)} of" if drop >= 0 else f"added {formats.percent(-drop)} to"
    yield Part(f" {pruned.label} {took} its ")
    yield Part("activation", "drop")
    yield Part(f" on “{word}”")
    interval = document.intervals.get(pruned.name)
    if interval is not None:
        yield Part(f" (95 % interval {_range(*interval, drop)})")
    yield from _parts(document, pruned, drop)
    controls = document.controls.get(pruned.name)
    if controls is None or controls.activation_matched.value is None:
        yield Part(". No control neurons were recorded, so whether other neurons lost as much cannot be told.")
        return
    similar = controls.activation_matched
    yield Part("; ")
    yield Part("neurons of similar activation", "similar activation")
    value = similar.value or 0.0
    yield Part(f" {'lost' if value >= 0 else 'gained'} {formats.percent(abs(value))}")
    if similar.low is not None and similar.high is not None:
        yield Part(f" ({_range(similar.low, similar.high, value)})")
    yield from _beyond(drop, interval, controls)


def _parts(document: NeuronDocument, pruned: Variant, drop: float) -> Iterator[Part]:
    parts = document.drop_parts.get(pruned.name)
    if parts is None:
        return
    sign = 1 if drop >= 0 else -1
    yield Part(f", {formats.decimal(100 * sign * parts.own, 0)} points by its ")
    yield Part("own weights", "own weights")
    yield Part(f" and {formats.decimal(100 * sign * parts.upstream, 0)} ")
    yield Part("upstream", "upstream")


def _beyond(drop: float, interval: tuple[float, float] | None, controls: NeuronControls) -> Iterator[Part]:
    """Whether the loss is beyond the controls': only if the two 95 % intervals do not overlap."""
    high = controls.activation_matched.high
    if drop <= 0:
        yield Part(". It lost nothing there.")
        return
    if interval is None or high is None:
        yield Part(". A word of one text gives no interval, so whether that is more than theirs cannot be told.")
    elif interval[0] > high:
        yield Part(". That is more than theirs.")
    else:
        yield Part(". That is not clearly more than theirs.")
    yield Part(" The loss is measured on the texts that chose the neuron and its word, so a part of it is ")
    yield Part("regression to the mean", "regression to the mean")
    yield Part(".")


def _range(low: float, high: float, drop: float) -> str:
    """An interval of drops, or of gains if ``drop`` is below 0: its sign is that of the number before it."""
    return formats.span(low, high) if drop >= 0 else formats.span(-high, -low)


def _weights(document: NeuronDocument, pruned: Variant) -> Iterator[Part]:
    masked, mean = document.masked_fractions.get(pruned.name), document.masked_means.get(pruned.name)
    if masked is None or masked.outgoing is None:
        return
    yield Part(f" {formats.percent(masked.outgoing)} of its ")
    yield Part("output weights", "output weights")
    of_all = "" if mean is None or mean.outgoing is None else f", {formats.percent(mean.outgoing)} of all neurons'"
    yield Part(f" are pruned{of_all}.")
