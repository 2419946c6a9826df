"""Measures the causal effect of the top neurons on a task, by ablating them or restoring their weights.

    ablation       the dense model, with its top neurons fixed to their mean activation
    restoration    a pruned model, with the dense model's weights for its top neurons

The controls are the same interventions on `draws` random sets of ranked neurons. Each set has as many neurons as the
top neurons have in every layer, and in every tenth of the layer's neurons by size: the standard deviation of the
activation times the norm of the output weights, which is how much the layer's output changes when the activation is
fixed. The sets are drawn from all ranked neurons, the top ones included. So if the top neurons were themselves such a
random set, they and the draws would be exchangeable, and p = (b + 1) / (draws + 1) would be exact. Sets from the rest
of the layer are not exchangeable with the top neurons: they lack every neuron that the top neurons have. The caller
supplies `measure`, which returns one or more numbers for each row of a task, always for the same rows in the same
order, so that conditions are compared row by row (nsa/effects.py).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.errors import BadInput
from prunescope.nsa.counted import CountedTokens
from prunescope.nsa.interventions import ByLayer, NeuronWeights, mean_ablated, restored, weights_of

Measure = Callable[[str], Float[np.ndarray, "measures rows"]]
"""Measures the model in its current state on every row of the task; the argument is the name of the condition."""

AS_IT_IS, TOP = "as it is", "top neurons"
STRATA = 10  # by size, in each layer


@dataclass(frozen=True)
class Groups:
    """The top neurons, best first, and the random control sets (`draws`). A neuron is given as layer * neurons +
    neuron, where `neurons` is the number of neurons in a layer."""

    top: Int[np.ndarray, " some"]
    draws: Int[np.ndarray, "draws some"]
    neurons: int

    @property
    def conditions(self) -> list[str]:
        """The names of the conditions, in the order of measurement."""
        count = len(self.draws)
        return [AS_IT_IS, TOP, *(f"random neurons, draw {draw} of {count}" for draw in range(1, count + 1))]

    def by_layer(self, places: Int[np.ndarray, " some"]) -> dict[int, np.ndarray]:
        """Return layer -> its neurons, ascending, for neurons given as layer * neurons + neuron."""
        ordered = np.unique(places)
        layers = ordered // self.neurons
        return {int(layer): ordered[layers == layer] % self.neurons for layer in np.unique(layers)}

    def all(self) -> dict[int, np.ndarray]:
        """Return layer -> its neurons that are among the top neurons or in any control set."""
        return self.by_layer(np.concatenate([self.top, self.draws.ravel()]))


def choose(
    ranks: Int[np.ndarray, "layers neurons"],
    sizes: Float[np.ndarray, "layers neurons"],
    count: int,
    draws: int,
    *,
    layers: tuple[int, ...] | None = None,
    seed: int = 0,
) -> Groups:
    """Choose the `count` best-ranked neurons, over all layers or in `layers`, and `draws` random control sets of ranked
    neurons of the same layers and of similar `sizes`. In `ranks`, 1 is the best and 0 means unranked.

    Neurons without a rank are excluded, because they are hardly active and would be unfair controls. Raises BadInput
    when there are fewer than `count` ranked neurons.
    """
    ranks = ranks.copy()
    if layers is not None:
        ranks[np.setdiff1d(np.arange(len(ranks)), layers)] = 0
    ranked = np.flatnonzero(ranks)
    if len(ranked) < count:
        where = "" if layers is None else f" in layer{'' if len(layers) == 1 else 's'} {', '.join(map(str, layers))}"
        raise BadInput(f"causal: {count} top neurons are asked for, but {len(ranked)} are ranked{where}; ask for fewer")
    top = ranked[np.argsort(ranks.ravel()[ranked], kind="stable")][:count]
    width, rng = ranks.shape[1], np.random.default_rng([seed, count])
    drawn: list[list[np.ndarray]] = [[] for _ in range(draws)]
    for pool in _strata(ranked, sizes, width):
        wanted = int(np.isin(pool, top).sum())
        for draw in drawn if wanted else ():
            draw.append(rng.choice(pool, wanted, replace=False))
    return Groups(top, np.array([np.concatenate(draw) for draw in drawn]), width)


def _strata(
    ranked: Int[np.ndarray, " ranked"], sizes: Float[np.ndarray, "layers neurons"], width: int
) -> Iterator[Int[np.ndarray, " some"]]:
    """Yield the ranked neurons (as layer * neurons + neuron, ascending) of each tenth by size of each layer."""
    for layer in np.unique(ranked // width):
        pool = ranked[ranked // width == layer]
        by_size = pool[np.argsort(sizes.ravel()[pool], kind="stable")]
        yield from (part for part in np.array_split(by_size, STRATA) if len(part))


def output_norms(model: PreTrainedModel) -> Float[np.ndarray, "layers neurons"]:
    """Return the Euclidean norm of each neuron's output weights, its column of the down-projection."""
    views = (weight_view(down_projection(layer)) for layer in decoder_layers(model))
    return np.stack([torch.linalg.vector_norm(view, dim=0, dtype=torch.float32).numpy(force=True) for view in views])


def ablate(
    model: PreTrainedModel,
    groups: Groups,
    means: Float[np.ndarray, "layers neurons"],
    counted: CountedTokens,
    measure: Measure,
) -> Float[np.ndarray, "conditions measures rows"]:
    """Measure the dense model unchanged, with its top neurons ablated, and with each control set ablated; the results
    are in this order. Ablation fixes a neuron's activation at the `counted` tokens at its mean over the attribution's
    counted tokens, from `means`."""

    def ablated(neurons: ByLayer) -> AbstractContextManager[None]:
        return mean_ablated(model, neurons, {layer: means[layer, some] for layer, some in neurons.items()}, counted)

    return _measure_conditions(groups, ablated, measure)


def restore(
    model: PreTrainedModel, groups: Groups, dense: NeuronWeights, measure: Measure
) -> Float[np.ndarray, "conditions measures rows"]:
    """Measure a pruned model unchanged, with the dense weights of its top neurons restored, and with those of each
    control set restored; the results are in this order."""
    return _measure_conditions(groups, partial(restored, model, dense=dense), measure)


def dense_weights(model: PreTrainedModel, groups: Groups) -> NeuronWeights:
    """Return copies of the dense weights that `restore` needs, so that the dense model can be freed before."""
    return weights_of(model, groups.all())


def _measure_conditions(
    groups: Groups, intervention: Callable[[ByLayer], AbstractContextManager[None]], measure: Measure
) -> Float[np.ndarray, "conditions measures rows"]:
    """Measure the model unchanged, and inside `intervention(neurons)` for the top neurons and each control set."""
    as_it_is, *others = groups.conditions
    found = [measure(as_it_is)]
    for name, places in zip(others, (groups.top, *groups.draws), strict=True):
        with intervention(groups.by_layer(places)):
            found.append(measure(name))
    return np.array(found)
