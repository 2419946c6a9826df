"""Chooses the top neurons of every word set (nsa/word_sets.py) on one half of the texts, and their control neurons on
the other half.

A drop measured on the tokens that chose a neuron regresses to the mean: such tokens have high activations partly by
chance. So Scores of one half choose the neurons, the other half measures them, and both directions are pooled. For each
top neuron there are up to CONTROLS neurons of its layer, which are ranked, not top neurons, and active in the measuring
half:

    activation-matched    those with the nearest mean activation over the set's tokens in the measuring half
    random                drawn systematically from the neurons in the order of that activation, at a random start
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.nsa.scoring import ranked_neurons
from prunescope.nsa.tables import MAX_TOP, MAX_TOP_OF_LAYER, top_number
from prunescope.nsa.word_sets import HalfSums, WordSets

CONTROLS = 20


@dataclass(frozen=True)
class Chosen:
    """The top neurons of one layer and fold for every word set, best first, with their controls. Entries of fewer top
    neurons or controls than others have are padded with -1."""

    neurons: Int[Tensor, "sets top"]
    over_all: Bool[Tensor, "sets top"]  # among the top neurons over all layers
    in_layer: Bool[Tensor, "sets top"]  # among the top neurons of this layer
    matched: Int[Tensor, "sets top controls"]
    random: Int[Tensor, "sets top controls"]


@dataclass
class Tops:
    """Collects every layer's best neurons by Score, for each fold and word set. `floor`: see `scoring.scores`."""

    sets: WordSets
    floor: float
    scores: dict[int, Float[Tensor, "folds sets top"]] = field(default_factory=dict)
    neurons: dict[int, Int[Tensor, "folds sets top"]] = field(default_factory=dict)
    ranked: dict[int, Bool[Tensor, "folds neurons"]] = field(default_factory=dict)

    def add(self, layer: int, sums: HalfSums) -> None:
        """Add a layer, from its sums in the dense model."""
        scores, neurons, known = [], [], []
        for choosing, _ in self.sets.folds:
            below = sums.all[choosing]
            ranked = torch.from_numpy(ranked_neurons(below.cpu().numpy(), self.floor)[0]).to(below.device)
            score = torch.where(ranked, sums.sets[choosing] / below, -torch.inf)
            best = score.topk(min(MAX_TOP, len(below)), dim=1)
            scores.append(best.values.cpu())
            neurons.append(best.indices.int().cpu())
            known.append(ranked.cpu())
        self.scores[layer], self.neurons[layer] = torch.stack(scores), torch.stack(neurons)
        self.ranked[layer] = torch.stack(known)

    def over_all(self) -> dict[int, Int[Tensor, "folds sets"]]:
        """Return for each layer how many of its best neurons are among the top neurons over all layers."""
        layers = sorted(self.scores)
        every = torch.cat([self.scores[layer] for layer in layers], dim=2)
        owner = torch.cat([torch.full((self.scores[layer].shape[2],), layer) for layer in layers])
        counts = {layer: torch.zeros(every.shape[:2], dtype=torch.int64) for layer in layers}
        for fold in range(len(every)):
            number = top_number(sum(int(self.ranked[layer][fold].sum()) for layer in layers))
            best = every[fold].topk(min(number, every.shape[2]), dim=1)
            owners = torch.where(torch.isfinite(best.values), owner[best.indices], -1)
            for layer in layers:
                counts[layer][fold] = (owners == layer).sum(1)
        return counts


def controls(
    tops: Tops, layer: int, over_all: Int[Tensor, "folds sets"], sums: HalfSums, rng: np.random.Generator
) -> list[Chosen]:
    """Return the top neurons of one layer and their controls, for each fold. `over_all` are from `Tops.over_all`,
    `sums` the layer's sums in the dense model."""
    return [
        _controls(
            tops.scores[layer][fold],
            tops.neurons[layer][fold],
            tops.ranked[layer][fold],
            over_all[fold],
            sums.sets[measuring].cpu(),
            rng,
        )
        for fold, (_, measuring) in enumerate(tops.sets.folds)
    ]


def _controls(
    scores: Float[Tensor, "sets best"],
    best: Int[Tensor, "sets best"],
    ranked: Bool[Tensor, " neurons"],
    over_all: Int[Tensor, " sets"],
    measured: Float[Tensor, "sets neurons"],
    rng: np.random.Generator,
) -> Chosen:
    size = min(max(int(over_all.max()), MAX_TOP_OF_LAYER), best.shape[1])
    neurons = best[:, :size].long()
    place = torch.arange(size)
    known = torch.isfinite(scores[:, :size])
    in_layer = known & (place < MAX_TOP_OF_LAYER)
    top = known & ((place < over_all[:, None]) | in_layer)
    pool = ranked & (measured > 0)
    pool.scatter_(1, neurons, torch.where(top, False, pool.gather(1, neurons)))
    count = pool.sum(1)
    keys, order = torch.where(pool, measured, torch.inf).float().sort(dim=1)
    top &= (count > 0)[:, None]
    return Chosen(
        torch.where(top, neurons, -1).int(),
        top & (place < over_all[:, None]),
        top & in_layer,
        _where(top, _nearest(measured.gather(1, neurons).float(), keys, order, count)),
        _where(top, _at_random(order, count, size, rng)),
    )


def _where(top: Bool[Tensor, "sets top"], found: Int[Tensor, "sets top controls"]) -> Int[Tensor, "sets top controls"]:
    return torch.where(top[..., None], found, -1).int()


def _nearest(
    values: Float[Tensor, "sets top"],
    keys: Float[Tensor, "sets neurons"],
    order: Int[Tensor, "sets neurons"],
    count: Int[Tensor, " sets"],
) -> Int[Tensor, "sets top controls"]:
    """Return the CONTROLS neurons with the nearest values; `keys` are the first `count` values of the pool, ascending,
    and `order` their neurons. The nearest ones are within CONTROLS places of where a value would be inserted."""
    place = torch.searchsorted(keys, values.contiguous())
    window = place[..., None] + torch.arange(-CONTROLS, CONTROLS)
    inside = (window >= 0) & (window < count[:, None, None])
    window = window.clamp(0, keys.shape[1] - 1).flatten(1)
    shape = (*values.shape, 2 * CONTROLS)
    distance = (keys.gather(1, window).view(shape) - values[..., None]).abs()
    near = torch.where(inside, distance, torch.inf).topk(CONTROLS, dim=2, largest=False)
    found = order.gather(1, window).view(shape).gather(2, near.indices)
    return torch.where(torch.isfinite(near.values), found, -1)


def _at_random(
    order: Int[Tensor, "sets neurons"], count: Int[Tensor, " sets"], size: int, rng: np.random.Generator
) -> Int[Tensor, "sets top controls"]:
    """Return CONTROLS neurons of the sorted pool for each top neuron, at equal distances from a random start; the whole
    pool if it is smaller."""
    count = count[:, None, None]
    number = count.clamp(1, CONTROLS)
    part = torch.arange(CONTROLS)
    start = torch.from_numpy(rng.random((len(order), size, 1))) * count
    place = ((start + part * count / number).long() % count.clamp(min=1)).flatten(1)
    found = order.gather(1, place).view(len(order), size, CONTROLS)
    return torch.where(part < number, found, -1)
