"""Is it causal: what a task loses without the top neurons, and what it gets back with their weights.

    ablation       the dense model, its top neurons held at their mean activation
    restoration    a pruned model, its top neurons given the dense model's weights

Both stand beside the same done to `draws` sets of other ranked neurons, as many in every layer as there are top ones.
How a model is measured is the caller's: `measure` answers with one number or several for each row of a task, the same
rows in the same order every time, so that everything is compared row by row (nsa/effects.py).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from transformers import PreTrainedModel

from prunescope.lm.errors import BadInput
from prunescope.nsa.interventions import ByLayer, NeuronWeights, given_back, mean_ablated, weights_of

Measure = Callable[[str], Float[np.ndarray, "measures rows"]]
"""What a model gives for every row of the task, as it is when it is called; the text names the condition."""

AS_IT_IS, TOP = "as it is", "top neurons"


@dataclass(frozen=True)
class Groups:
    """The top neurons, best first, and as many others of the same layers in every draw, as layer * neurons + neuron;
    `neurons` is how many a layer has."""

    top: Int[np.ndarray, " some"]
    draws: Int[np.ndarray, "draws some"]
    neurons: int

    @property
    def conditions(self) -> list[str]:
        """What is measured, in order."""
        count = len(self.draws)
        return [AS_IT_IS, TOP, *(f"random neurons, draw {draw} of {count}" for draw in range(1, count + 1))]

    def by_layer(self, places: Int[np.ndarray, " some"]) -> dict[int, np.ndarray]:
        """Layer -> the neurons of a group that lie there, in ascending order."""
        ordered = np.unique(places)
        layers = ordered // self.neurons
        return {int(layer): ordered[layers == layer] % self.neurons for layer in np.unique(layers)}

    def all(self) -> dict[int, np.ndarray]:
        """Layer -> every neuron of any group."""
        return self.by_layer(np.concatenate([self.top, self.draws.ravel()]))


def choose(
    ranks: Int[np.ndarray, "layers neurons"],
    count: int,
    draws: int,
    *,
    layers: tuple[int, ...] | None = None,
    seed: int = 0,
) -> Groups:
    """The `count` neurons of the best rank (0 is none), over all layers or in some, and `draws` of other ranked ones.

    Unranked neurons hardly say anything, so that to be without them would be no control. Raises BadInput where there
    are fewer ranked neurons, or fewer others in a layer, than are asked for.
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
    for layer in np.unique(top // width):
        wanted = int((top // width == layer).sum())
        others = np.setdiff1d(ranked[ranked // width == layer], top)
        if len(others) < wanted:
            raise BadInput(
                f"causal: {wanted} of the {count} top neurons are in layer {layer}, which has {len(others)} other "
                "ranked ones to draw from; ask for fewer neurons"
            )
        for draw in drawn:
            draw.append(rng.choice(others, wanted, replace=False))
    return Groups(top, np.array([np.concatenate(draw) for draw in drawn]), width)


def ablate(
    model: PreTrainedModel, groups: Groups, means: Float[np.ndarray, "layers neurons"], measure: Measure
) -> Float[np.ndarray, "conditions measures rows"]:
    """The dense model as it is, without its top neurons, and without those of every draw."""

    def without(neurons: ByLayer) -> AbstractContextManager[None]:
        return mean_ablated(model, neurons, {layer: means[layer, some] for layer, some in neurons.items()})

    return _all(groups, without, measure)


def restore(
    model: PreTrainedModel, groups: Groups, dense: NeuronWeights, measure: Measure
) -> Float[np.ndarray, "conditions measures rows"]:
    """A pruned model as it is, with the dense weights of its top neurons, and with those of every draw."""
    return _all(groups, partial(given_back, model, dense=dense), measure)


def dense_weights(model: PreTrainedModel, groups: Groups) -> NeuronWeights:
    """What `restore` gives back, so that the dense model need not stay in memory."""
    return weights_of(model, groups.all())


def _all(
    groups: Groups, touched: Callable[[ByLayer], AbstractContextManager[None]], measure: Measure
) -> Float[np.ndarray, "conditions measures rows"]:
    as_it_is, *others = groups.conditions
    found = [measure(as_it_is)]
    for name, places in zip(others, (groups.top, *groups.draws), strict=True):
        with touched(groups.by_layer(places)):
            found.append(measure(name))
    return np.array(found)
