"""The causal stage of an attribution: measures a task's accuracy under interventions on the top neurons.

    dense model:         unchanged, top neurons ablated, random neurons ablated; at counted tokens only
    each pruned model:   unchanged, dense weights of the top neurons restored, dense weights of random neurons restored

Each condition is measured on the same rows of the task. One model is in memory at a time, as in the rest of an
attribution. The neurons, the rows and the outcome of every row are stored (store/attributions/activations.py).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from prunescope.evaluation.accuracy import ExampleResult, TaskResult, measure, questionnaires
from prunescope.evaluation.batches import batch_size
from prunescope.evaluation.harness import Questionnaire
from prunescope.evaluation.prompts import prompt_around
from prunescope.jobs.specs import AttributeSpec, Causal
from prunescope.jobs.vocabulary import PROMPTS
from prunescope.lm.errors import BadInput, NotFinite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa import causal
from prunescope.nsa.archive import Archive
from prunescope.nsa.counted import CountedTokens
from prunescope.nsa.effects import effect
from prunescope.nsa.statistics import MEAN
from prunescope.nsa.tables import top_count
from prunescope.nsa.texts import Text
from prunescope.worker.context import Context

MEASURES = ("accuracy", "probability")
"""For each row: whether the model's choice is correct, and the probability of the correct choice."""

Load = Callable[[], LanguageModel]


def rows_of(asked: Causal, texts: Sequence[Text], context: Context) -> Questionnaire:
    """The first rows of the causal stage's task as questions (as many as `asked.limit`). Rows that are among the
    attribution's `texts` are excluded, because the top neurons were chosen on these texts, which would bias the result.

    Raises BadInput when no row is left, and the errors of `evaluation.accuracy.questionnaires`.
    """
    limit = None if asked.limit is None else asked.limit + len(texts)
    found = questionnaires([asked.task], data=context.settings.data, limit=limit)[asked.task]
    used = {text.prompt for text in texts}
    if asked.task in PROMPTS:
        before, after = prompt_around(asked.task)
        used |= {f"{before}{text.text}{after}" for text in texts}
    kept = tuple(question for question in found.questions if question.text not in used)[: asked.limit]
    if not kept:
        raise BadInput(
            f"causal: every row of {asked.task} is one of the attribution's own texts; take fewer texts, or another "
            "task"
        )
    return replace(found, questions=kept)


def check_fits(asked: Causal, recorded: Sequence[int], layers: int, neurons: int) -> None:
    """Raise BadInput if the causal stage asks for layers that do not exist or are not `recorded`, or for more neurons
    than there are. `layers` is the model's number of layers, `neurons` the number of neurons in each. Called before the
    activations are recorded."""
    for layer in asked.layers or ():
        if layer not in recorded:
            raise BadInput(
                f"causal: layer {layer}: this model's layers are 0 to {layers - 1}"
                if layer >= layers
                else f"causal: layer {layer} is not recorded"
            )
    among = len(asked.layers or recorded) * neurons
    if asked.neurons is not None and 2 * asked.neurons > among:
        raise BadInput(
            f"causal: {asked.neurons} top neurons are asked for, but of the {among} neurons to choose from at most "
            f"half can be compared with random ones; ask for at most {among // 2}"
        )


def means_of(
    archive: Archive, dense: str, shape: tuple[int, ...], recorded: Sequence[int]
) -> Float[np.ndarray, "layers neurons"]:
    """The dense model's mean activation of each neuron over the counted tokens of the texts; NaN for a layer that was
    not recorded. `dense` is the variant's name, `shape` that of the result."""
    means = np.full(shape, np.nan, dtype=np.float32)
    for layer in recorded:
        means[layer] = archive.kept(f"spread/{dense}", layer)[:, MEAN]
    return means


def run(
    spec: AttributeSpec,
    asked: Causal,
    rows: Questionnaire,
    ranks: Int[np.ndarray, "layers neurons"],
    means: Float[np.ndarray, "layers neurons"],
    deviations: Float[np.ndarray, "layers neurons"],
    loaders: Sequence[tuple[str, Load]],
    context: Context,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Run the causal stage `asked` of an attribution. Returns (arrays by name, the document `causal` of its tables).

    `ranks` are the ranks of the neurons in the attribution, 0 for unranked; `means` and `deviations` are the means
    (`means_of`) and the standard deviations of the dense model's activations. `loaders` are (name, function that loads
    the model) of all variants, the dense one first.
    """
    count = top_count(ranks) if asked.neurons is None else asked.neurons
    seed = spec.seed
    (dense, load), *pruned = loaders
    lm = load()
    tokenizer = lm.tokenizer
    sizes = deviations * causal.output_norms(lm.model)
    groups = causal.choose(ranks, sizes, count, asked.draws, layers=asked.layers, seed=seed)
    special = () if tokenizer is None else tokenizer.all_special_ids
    counted = CountedTokens(lm.model, special, count_special=spec.special_tokens, count_sinks=spec.sinks)
    trial = _Trial(lm, "ablate", asked.task, rows, len(groups.conditions), context)
    outcomes = {dense: causal.ablate(lm.model, groups, means, counted, trial.measure)}
    trial.end(outcomes[dense], "without")
    first = trial.first
    weights = causal.dense_weights(lm.model, groups)
    for name, load in pruned:
        del lm, trial
        lm = load()
        lm = replace(lm, tokenizer=lm.tokenizer or tokenizer)  # a pruned model may have no tokenizer of its own
        trial = _Trial(lm, f"restore {name}", asked.task, rows, len(groups.conditions), context)
        outcomes[name] = causal.restore(lm.model, groups, weights, trial.measure)
        trial.end(outcomes[name], "with the weights of")
    arrays = {
        "causal_neurons": np.stack([groups.top, *groups.draws]).astype(np.int32),
        "causal_rows": np.array([question.index for question in rows.questions], dtype=np.int32),
        **{f"causal_outcomes/{name}": found for name, found in outcomes.items()},
    }
    document = {
        "task": asked.task,
        "rows": first.rows,
        "chance": first.chance,
        "majority": first.majority,
        "truncated": first.truncated,
        "version": first.version,
        "prompt_hash": first.prompt_hash,
        "neurons": count,
        "layers": [{"layer": layer, "neurons": len(some)} for layer, some in groups.by_layer(groups.top).items()],
        "draws": asked.draws,
        "alike": True,
        "seed": seed,
        "variants": {
            name: {
                kind: asdict(effect(found[:, place], seed=seed, lower=name == dense))
                for place, kind in enumerate(MEASURES)
            }
            for name, found in outcomes.items()
        },
    }
    return arrays, document


class _Trial:
    """Measures the task's rows on one model under each condition. The batch size is the same for all, so that results
    differ only because of the condition."""

    def __init__(
        self, lm: LanguageModel, stage: str, task: str, rows: Questionnaire, conditions: int, context: Context
    ) -> None:
        self._lm, self._stage, self._task, self._rows, self._context = lm, stage, task, rows, context
        self._size = batch_size(lm.model)
        self._total = conditions * len(rows.questions)
        self._results: list[TaskResult] = []

    @property
    def first(self) -> TaskResult:
        """The result of the first condition, the unchanged model."""
        return self._results[0]

    def measure(self, condition: str) -> Float[np.ndarray, "measures rows"]:
        """Measure every row under the condition that the model is in now: [MEASURES, rows]. `condition` is its name in
        progress reports and errors. Raises the errors of `evaluation.accuracy.measure`."""
        before = len(self._results) * len(self._rows.questions)

        def say(done: int, total: int) -> None:
            ended = before + done == self._total
            self._context.step(self._stage, before + done, self._total, "rows", "" if ended else condition)

        try:
            result = measure(self._lm, self._task, self._rows, size=self._size, on_batch=say)
        except NotFinite as error:
            raise NotFinite(f"{self._stage}, {condition}: {error}") from error
        self._results.append(replace(result, examples=[]) if self._results else result)
        right = [example.chosen == example.answer for example in result.examples]
        return np.array([right, [_probability(example) for example in result.examples]], dtype=np.float32)

    def end(self, outcomes: Float[np.ndarray, "conditions measures rows"], how: str) -> None:
        """Report the accuracies under all conditions as the stage's last progress message. `how` describes the
        intervention: "without" or "with the weights of"."""
        base, top, *draws = outcomes[:, 0].mean(1, dtype=np.float64)
        self._context.step(
            self._stage,
            self._total,
            self._total,
            "rows",
            f"accuracy {base:.1%}; {how} the top neurons {top:.1%}, {how} random ones {np.mean(draws):.1%}",
        )


def _probability(example: ExampleResult) -> float:
    """The probability of the correct choice among the row's choices: the softmax of their log-likelihoods."""
    most = max(example.scores)
    shares = [math.exp(score - most) for score in example.scores]
    return shares[example.answer] / math.fsum(shares)
