"""The settings and the result of an explanation, as plain values and arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from prunescope.nsa.explain.curves import Restored
from prunescope.nsa.explain.rows import Numbers, Row

Rows = Literal["broken", "fell", "all"]


@dataclass(frozen=True)
class Options:
    """Options of an explanation.

    `rows`: the rows over which shares are summed: `broken` (right in the dense model, wrong in the pruned
    one), `fell` (the margin is lower) or `all`. `neurons`: numbers of neurons whose effect is measured; 5 % of all and
    all of them are added. `steps`: of integrated gradients. `heads`: whether heads are measured. `sinks`: whether
    position 0 and special tokens are counted. `content`: rank by the content share. `draws`: random draws.
    """

    rows: Rows = "broken"
    neurons: tuple[int, ...] = (1, 3, 10, 30, 100, 500)
    steps: int = 8
    heads: bool = True
    sinks: bool = False
    content: bool = False
    draws: int = 5
    seed: int = 0


@dataclass(frozen=True)
class NeuronWord:
    """A word and a neuron's mean activation (positive part) over its tokens in both models."""

    word: str
    dense: float
    pruned: float


@dataclass(frozen=True)
class Whole:
    """What all neurons, all heads, and both restore, and the sums of their integrated shares, by "neurons", "heads" and
    "both"."""

    restored: dict[str, Restored]
    integrated: dict[str, float]


@dataclass(frozen=True)
class Labels:
    """For a task with fixed labels: the label that the pruned model says less often than the dense one, and the sums of
    the prior and content shares."""

    fallen: int
    prior: float | None
    content: float | None


Curve = list[tuple[int, Restored]]
"""(number of neurons, what they restore), ascending."""


@dataclass(frozen=True)
class Outcome:
    """The result of `explain`. Shares are in units of the lost margin; arrays of neurons are [layers, neurons], of
    heads [layers, heads].

    `scores`: model ("dense", "pruned") -> log-probabilities of every row's choices; `patched` [rows] those of the
    pruned model with the dense activations of all neurons. `broken`, `ranked` and `measured` are row numbers. `prior`
    and `content` are None without fixed labels. `words`: (layer, neuron) -> its words. `notes` say what was left out.
    """

    rows: Sequence[Row]
    halves: tuple[Numbers, Numbers]
    ranked: Numbers
    measured: Numbers
    broken: Numbers
    mended: int
    fell: int
    margins: dict[str, Float[np.ndarray, " rows"]]
    scores: dict[str, list[list[float]]]
    patched: list[list[float]]
    whole: Whole
    curves: dict[str, Curve]
    reverse: dict[str, Curve]
    share: Float[np.ndarray, "layers neurons"]
    integrated: Float[np.ndarray, "layers neurons"]
    prior: Float[np.ndarray, "layers neurons"] | None
    content: Float[np.ndarray, "layers neurons"] | None
    change: Float[np.ndarray, "layers neurons"]
    rank: Int[np.ndarray, "layers neurons"]
    head_share: Float[np.ndarray, "layers heads"]
    head_integrated: Float[np.ndarray, "layers heads"]
    labels: Labels | None
    words: dict[tuple[int, int], list[NeuronWord]]
    notes: list[str]
