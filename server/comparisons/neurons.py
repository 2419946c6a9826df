"""Two neurons side by side, and the neurons of a layer that are active at the same tokens as one of them."""

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.problems import Problem, bad_field
from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution, no_such_neuron
from prunescope.server.comparisons.documents import CoactiveNeuron, NeuronBeside, NeuronPair
from prunescope.server.site.documents import Link
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.store.attributions.documents import NeuronScore

MAX_COACTIVE = 12
MAX_VALUES = 50_000_000
"""Maximum number of activations (neurons x tokens) of a layer that are read for correlations."""
MIN_TOKENS = 3
BLOCK = 512
"""Neurons that are read at once."""
NEURON = re.compile(r"L?(\d{1,6})[/.]N?(\d{1,9})")

Find = Callable[[str], OpenAttribution]


def neuron_pair(
    find: Find,
    attribution: str,
    layer: int,
    neuron: int,
    *,
    other: str | None = None,
    of: str | None = None,
    example: int | None = None,
    variant: str | None = None,
) -> NeuronPair:
    """The document of a neuron and of ``other`` (``L2/N354`` or ``2.354``) beside it, which is in the attribution
    ``of``, by default the same. ``example`` is by default the text in which the neuron fell most. Problem 404 for an
    unknown neuron, 422 for a wrong parameter."""
    opened = find(attribution)
    first = _shown(opened, layer, neuron, example=example, variant=variant)
    example = first.example
    counted = _counted(opened)
    one = _dense(opened, layer, neuron)[counted]
    reason = _too_few_or_many(opened, len(one))
    second, correlation = None, None
    if other is not None:
        found = NEURON.fullmatch(other.strip())
        if found is None:
            raise bad_field("other", other, "L2/N354 or 2.354", f"{other[:40]!r} names no neuron")
        place = int(found[1]), int(found[2])
        same = of is None or of == attribution
        second = _second(
            find, opened if same else None, of, place, example if same else None, variant if same else None
        )
        if same and len(one) >= MIN_TOKENS:
            correlation = float(correlations(_dense(opened, *place)[None, counted], one)[0])
    return NeuronPair(
        first=first,
        second=second,
        correlation=None if correlation is None or np.isnan(correlation) else correlation,
        tokens=int(counted.sum()),
        coactive=[] if reason else _coactive(opened, layer, neuron, _of_layer(opened, layer, one, counted)),
        not_measured=reason,
        href=urls.beside(attribution, layer, neuron, other=other, of=of, example=example, variant=variant),
    )


def _second(
    find: Find,
    opened: OpenAttribution | None,
    of: str | None,
    place: tuple[int, int],
    example: int | None,
    variant: str | None,
) -> NeuronBeside:
    if opened is None:
        try:
            opened = find(of or "")
        except Problem as problem:
            raise bad_field("of", of, "the id of an attribution", problem.detail) from None
    try:
        return _shown(opened, *place, example=example, variant=variant)
    except Problem as problem:
        if problem.status != 404:
            raise
        raise bad_field("other", f"L{place[0]}/N{place[1]}", "a recorded neuron", problem.detail) from None


def _shown(
    opened: OpenAttribution, layer: int, neuron: int, *, example: int | None, variant: str | None
) -> NeuronBeside:
    name = opened.variant(variant)
    try:
        values = opened.store.neuron(layer, neuron)
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    detail = opened.tables.neuron(layer, neuron)
    dense = opened.store.variants[0]
    shown = name or dense
    place = _most_fallen(opened, values[dense] - values[shown]) if example is None else opened.place_of(example)
    span, text = opened.store.spans[place], opened.examples[place]
    return NeuronBeside(
        name=f"L{layer}/N{neuron}",
        href=urls.neuron(opened.id, layer, neuron, example=text.index, variant=variant),
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        variant=next(each for each in opened.variants if each.name == shown),
        score=detail.score,
        rank=detail.rank,
        word=detail.word,
        drop=detail.drops.get(shown),
        example=text.index,
        tokens=text.tokens,
        influential=text.influential,
        dimmed=[special or sink for special, sink in zip(text.special, text.sinks, strict=True)],
        dense=values[dense][span].tolist(),
        pruned=values[shown][span].tolist(),
    )


def _most_fallen(opened: OpenAttribution, falls: NDArray[np.float32]) -> int:
    """The place of the text with the largest fall at an influential token; ``falls`` are those of all tokens. The first
    text if nothing fell."""
    texts = zip(opened.store.spans, opened.examples, strict=True)
    most = [float(np.max(falls[span], where=np.asarray(text.influential, bool), initial=0)) for span, text in texts]
    return int(np.argmax(most))


def _counted(opened: OpenAttribution) -> NDArray[np.bool_]:
    """Which tokens are counted in sums: without attention sinks, and without special tokens unless they are counted."""
    special = np.concatenate([np.asarray(text.special, bool) for text in opened.examples])
    sinks = np.concatenate([np.asarray(text.sinks, bool) for text in opened.examples])
    return ~sinks if opened.summary.special_tokens else ~(sinks | special)


def _dense(opened: OpenAttribution, layer: int, neuron: int) -> NDArray[np.float32]:
    return opened.store.row_of(opened.store.variants[0], layer, neuron)


def _too_few_or_many(opened: OpenAttribution, tokens: int) -> str | None:
    """Why the correlations of a layer are not computed."""
    if tokens < MIN_TOKENS:
        return f"A correlation needs at least {MIN_TOKENS} counted tokens."
    if opened.store.neurons * tokens > MAX_VALUES:
        return f"The layer has more than {MAX_VALUES:,} activations, which are too many to read for a page."
    return None


def _of_layer(
    opened: OpenAttribution, layer: int, one: NDArray[np.float32], counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The correlations [neurons] of all neurons of a layer with the activations ``one`` [counted tokens]."""
    neurons = range(opened.store.neurons)
    blocks = (neurons[start : start + BLOCK] for start in range(0, len(neurons), BLOCK))
    read = (np.stack([_dense(opened, layer, each)[counted] for each in block]) for block in blocks)
    return np.concatenate([correlations(block, one) for block in read])


def correlations(values: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pearson's correlation of each row of ``values`` [neurons, tokens] with ``one`` [tokens]; NaN if either is
    constant."""
    other = one - one.mean(dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True, dtype=np.float64)
    sizes = np.linalg.norm(centred, axis=1) * np.linalg.norm(other)
    return np.where(sizes > 0, centred @ other / np.where(sizes > 0, sizes, 1), np.nan)


def _coactive(opened: OpenAttribution, layer: int, neuron: int, found: NDArray[np.float64]) -> list[CoactiveNeuron]:
    """The other neurons with the highest correlations, highest first."""
    usable = np.where(np.isnan(found), -np.inf, found)
    usable[neuron] = -np.inf
    order = np.argsort(-usable, kind="stable")[:MAX_COACTIVE]
    made = []
    for each in (int(place) for place in order if np.isfinite(usable[place])):
        detail = opened.tables.neuron(layer, each)
        made.append(
            CoactiveNeuron(
                **detail.model_dump(include={*NeuronScore.model_fields}),
                drop=next(iter(detail.drops.values()), None),
                href=urls.neuron(opened.id, layer, each),
                correlation=float(found[each]),
                beside_href=urls.beside(opened.id, layer, neuron, other=f"L{layer}/N{each}"),
            )
        )
    return made
