"""Ranks all neurons by the effects of the rows of each half, and tells prior and content apart."""

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
    """Shares of the lost margin of the ranking rows of both halves: [layers, neurons], heads [layers, heads]. `prior`
    and `content` are None without fixed labels. `best` is the order by all ranking rows, `crossed` are the orders by
    each half, by ranking."""

    share: Float[np.ndarray, "layers neurons"]
    change: Float[np.ndarray, "layers neurons"]
    head_share: Float[np.ndarray, "layers heads"]
    labels: Labels | None
    prior: Float[np.ndarray, "layers neurons"] | None
    content: Float[np.ndarray, "layers neurons"] | None
    best: rankings.Order
    crossed: dict[str, rankings.Crossed]


def rank(subject: Subject, found: Sample, options: Options, step: Step) -> Ranked:
    """Rank the neurons by the effects of the ranking rows in the pruned model (`subject`). Raises BadInput if `content`
    is asked for and prior and content cannot be told apart, NotFinite for gradients that are not finite."""
    effects = shares.effects(subject, found.dense.activations, found.pruned.activations, _weights(found), step)
    by_half = effects.by_kind[NEURONS][:2]
    by_label = effects.by_kind[NEURONS][2:].reshape(2, found.fixed_labels, *by_half.shape[1:])
    fallen = _fallen(found)
    of_label = _of_label(found)
    # A label without a row in a half has no mean effect there.
    split = bool(found.fixed_labels) and bool((of_label > 0).all())
    parts = shares.prior_and_content(by_label.sum(0), fallen) if split else None
    by = by_half
    if options.content:
        if parts is None:
            why = "a label has too few rows" if found.fixed_labels else "the choices differ from row to row"
            raise BadInput(f"content: the shift towards one label cannot be removed, because {why}; leave content out")
        # The mean over the label's rows in the half, from the half's part of the mean over all its rows.
        scale = (of_label.sum(0) / of_label)[:, :, None, None]
        by = np.stack([shares.prior_and_content(each, fallen).content for each in by_label * scale])
    labels = None
    if found.fixed_labels:
        sums = (None, None) if parts is None else (float(parts.prior.sum()), float(parts.content.sum()))
        labels = Labels(fallen, *sums)
    share = by_half.sum(0)
    heads = effects.by_kind.get(HEADS)
    return Ranked(
        share=share,
        change=effects.change[:2].sum(0),
        head_share=np.zeros((len(share), 0)) if heads is None else subject.sites.by_head(heads[:2].sum(0)),
        labels=labels,
        prior=None if parts is None else parts.prior,
        content=None if parts is None else parts.content,
        best=rankings.ranked(parts.content if options.content and parts is not None else share),
        crossed={
            rankings.MARGIN: rankings.crossed(by),
            rankings.CHANGE: rankings.crossed(effects.change[:2]),
            rankings.ACTIVATION: rankings.crossed(effects.activation[:2]),
        },
    )


def _weights(found: Sample) -> Float[np.ndarray, "groups rows"]:
    """The weights of `shares.effects`: of the margin shares by the rows of each half, which add up to those by both,
    then by half the parts of the mean effect on the rows of each label, in the same unit, the mean lost margin of a
    ranking row."""
    lost = found.lost[np.concatenate(found.ranked)]
    labels, total = found.fixed_labels, _of_label(found).sum(0)
    weights = np.zeros((2 * (1 + labels), len(found.rows)))
    for number, (half, ranked) in enumerate(zip(found.halves, found.ranked, strict=True)):
        weights[number, ranked] = 1 / lost.sum()
        for row in half if labels else ():
            label = found.rows[row].label
            assert label is not None
            weights[2 + number * labels + label, row] = 1 / (total[label] * lost.mean())
    return weights


def _of_label(found: Sample) -> Float[np.ndarray, "halves labels"]:
    """The number of rows of each label in each half."""
    return np.array(
        [
            [sum(found.rows[number].label == label for number in half) for label in range(found.fixed_labels)]
            for half in found.halves
        ],
        dtype=float,
    )


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
