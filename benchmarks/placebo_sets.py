"""How often the causal stage calls a random set of neurons causal.

Random sets take the place of the top neurons; everything else is the causal stage's (`nsa.causal`): ablation at counted
tokens, draws, and p by the mean probability of the right answer on rows of a task. For comparison, p is also computed
from draws of the remaining neurons of the same layers, as earlier versions did. Outcomes are measured once for each
set.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from prunescope.evaluation.accuracy import measure
from prunescope.evaluation.harness import Questionnaire
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.causal import Groups, choose
from prunescope.nsa.counted import CountedTokens
from prunescope.nsa.interventions import mean_ablated

NOMINAL = 0.05


@dataclass(frozen=True)
class Task:
    """A task's rows as questions."""

    name: str
    rows: Questionnaire


@dataclass(frozen=True)
class Ablations:
    """Measures the dense model with sets of neurons held at their means."""

    lm: LanguageModel
    task: Task
    means: Float[np.ndarray, "layers neurons"]
    counted: CountedTokens

    def probability(self, groups: Groups, places: Int[np.ndarray, " some"]) -> float:
        """The mean probability of the right answer with a set of neurons ablated."""
        neurons = groups.by_layer(places)
        means = {layer: self.means[layer, some] for layer, some in neurons.items()}
        with mean_ablated(self.lm.model, neurons, means, self.counted):
            examples = measure(self.lm, self.task.name, self.task.rows).examples
        return float(np.mean([_share(example.scores, example.answer) for example in examples]))


def rates(
    ablations: Ablations,
    ranked: Float[np.ndarray, "layers neurons"],
    sizes: Float[np.ndarray, "layers neurons"],
    *,
    neurons: int,
    trials: int,
    draws: int,
) -> dict[str, float]:
    """The share of trials with p <= 0.05 (`all`: draws from all ranked neurons, as the causal stage makes them; `rest`:
    from the others). `ranked` is positive for ranked neurons; `sizes` as in `nsa.causal.choose`."""
    few = {"all": 0, "rest": 0}
    rng = np.random.default_rng(neurons)
    for trial in range(trials):
        ranks = np.zeros(ranked.size, dtype=np.int64)
        pool = np.flatnonzero(ranked.ravel() > 0)
        ranks[rng.permutation(pool)] = np.arange(1, len(pool) + 1)
        groups = choose(ranks.reshape(ranked.shape), sizes, neurons, draws, seed=trial)
        top = ablations.probability(groups, groups.top)
        sets = {"all": list(groups.draws), "rest": [_others(groups, pool, rng) for _ in range(draws)]}
        for name, some in sets.items():
            as_far = sum(ablations.probability(groups, places) <= top for places in some)
            few[name] += (as_far + 1) / (draws + 1) <= NOMINAL
    return {name: count / trials for name, count in few.items()}


def _others(groups: Groups, pool: Int[np.ndarray, " ranked"], rng: np.random.Generator) -> Int[np.ndarray, " some"]:
    """A random set of neurons that are not top neurons, with as many in every layer."""
    rest = np.setdiff1d(pool, groups.top)
    return np.concatenate(
        [
            rng.choice(rest[rest // groups.neurons == layer], len(some), replace=False)
            for layer, some in groups.by_layer(groups.top).items()
        ]
    )


def _share(scores: list[float], answer: int) -> float:
    most = max(scores)
    shares = [math.exp(score - most) for score in scores]
    return shares[answer] / math.fsum(shares)
