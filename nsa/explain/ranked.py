"""Ranks all neurons by the effects of the training rows, and tells prior and content apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from prunescope.lm.errors import BadInput
from prunescope.nsa.explain import rankings, shares
from prunescope.nsa.explain.outcome import Labels, Options
from prunescope.nsa.explain.running import Step, Subject
from prunescope.nsa.explain.sample import Sample
from prunescope.nsa.explain.sites import HEADS, NEURONS


@dataclass(frozen=True)
class Ranked:
    """Shares of the lost margin of the ranking rows: [layers, neurons], heads [layers, heads]. `prior` and `content`
    are None without fixed labels. `orders` are by ranking."""

    share: Float[np.ndarray, "layers neurons"]
    change: Float[np.ndarray, "layers neurons"]
    head_share: Float[np.ndarray, "layers heads"]
    labels: Labels | None
    prior: Float[np.ndarray, "layers neurons"] | None
    content: Float[np.ndarray, "layers neurons"] | None
    orders: dict[str, rankings.Order]


def rank(subject: Subject, found: Sample, options: Options, step: Step) -> Ranked:
    """Rank the neurons by the effects of the training rows in the pruned model (`subject`). Raises BadInput if
    `content` is asked for and prior and content cannot be told apart, NotFinite for gradients that are not finite."""
    weights = _weights(found)
    effects = shares.effects(subject, found.dense.activations, found.pruned.activations, weights, step)
    share = effects.by_kind[NEURONS][0]
    fallen = _fallen(found)
    # A label without a training row has no mean effect.
    every_label = bool(found.fixed_labels) and bool((weights[1:] > 0).any(1).all())
    parts = shares.prior_and_content(effects.by_kind[NEURONS][1:], fallen) if every_label else None
    if options.content and parts is None:
        why = "a label has no training row" if found.fixed_labels else "the choices differ from row to row"
        raise BadInput(f"content: the shift towards one label cannot be removed, because {why}; leave content out")
    labels = None
    if found.fixed_labels:
        sums = (None, None) if parts is None else (float(parts.prior.sum()), float(parts.content.sum()))
        labels = Labels(fallen, *sums)
    by = parts.content if options.content and parts is not None else share
    heads = effects.by_kind.get(HEADS)
    return Ranked(
        share=share,
        change=effects.change,
        head_share=np.zeros((len(share), 0)) if heads is None else subject.sites.by_head(heads[0]),
        labels=labels,
        prior=None if parts is None else parts.prior,
        content=None if parts is None else parts.content,
        orders={
            rankings.MARGIN: rankings.ranked(by),
            rankings.CHANGE: rankings.ranked(effects.change),
            rankings.ACTIVATION: rankings.ranked(effects.activation),
        },
    )


def _weights(found: Sample) -> Float[np.ndarray, "groups rows"]:
    """The weights of `shares.effects`: first of the margin share, then of the mean effect on the rows of each label, in
    the same unit, the mean lost margin of a ranking row."""
    lost = found.lost[found.ranked]
    weights = np.zeros((1 + found.fixed_labels, len(found.rows)))
    weights[0, found.ranked] = 1 / lost.sum()
    for label in range(found.fixed_labels):
        own = [number for number in found.halves.training if found.rows[number].label == label]
        weights[1 + label, own] = 1 / (max(1, len(own)) * lost.mean())
    return weights


def _fallen(found: Sample) -> int:
    """The label that the pruned model says less often than the dense one, by the greatest difference; 0 without fixed
    labels."""
    if not found.fixed_labels:
        return 0
    dense, pruned = (
        np.bincount([int(np.argmax(own)) for own in each.scores], minlength=found.fixed_labels)
        for each in (found.dense, found.pruned)
    )
    return int(np.argmax(dense - pruned))
