"""Activations of some texts in memory, recorded once, on which an attribution is computed many times with other words.

The computation is the product's own (`nsa.matching`, `nsa.damage`); only the recording is shared between the runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from numpy.typing import NDArray

from prunescope.evaluation.prompts import task_texts
from prunescope.jobs.vocabulary import TASKS
from prunescope.lm.loading import LanguageModel
from prunescope.nsa import headline
from prunescope.nsa.attribution import DENSE
from prunescope.nsa.damage import Baseline, baseline
from prunescope.nsa.headline import Differences
from prunescope.nsa.matching import Matched, match
from prunescope.nsa.preparation import Options, Prepared, prepare, shape_of
from prunescope.nsa.recording import record
from prunescope.nsa.sinks import SinkFinder
from prunescope.nsa.texts import Text
from prunescope.nsa.word_sets import by_token, half_sums
from prunescope.text.words import WordIndex


@dataclass
class MemoryArchive:
    """An archive (`nsa.archive`) that holds activations and tables in memory: variant -> layer -> [neurons, tokens],
    and (table, layer) -> values."""

    tokens: int
    neurons: int
    activations: dict[str, dict[int, NDArray[np.float16]]] = field(default_factory=dict)
    tables: dict[tuple[str, int], Num[np.ndarray, "rows columns"]] = field(default_factory=dict)

    def write(self, variant: str, layer: int, start: int, values: Float[np.ndarray, "tokens neurons"]) -> None:
        layers = self.activations.setdefault(variant, {})
        if layer not in layers:
            layers[layer] = np.zeros((self.neurons, self.tokens), dtype=np.float16)
        layers[layer][:, start : start + len(values)] = values.T

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, Float[np.ndarray, "neurons tokens"]]]:
        yield 0, self.activations[variant][layer]

    def rows(
        self, variant: str, layer: int, neurons: Int[np.ndarray, " some"], tokens: Int[np.ndarray, " few"]
    ) -> Float[np.ndarray, "some few"]:
        found: NDArray[np.float16] = self.activations[variant][layer][np.ix_(neurons, tokens)]
        return found

    def close(self, variant: str) -> None:
        pass

    def keep(self, name: str, layer: int, values: Num[np.ndarray, "rows columns"]) -> None:
        self.tables[name, layer] = values

    def kept(self, name: str, layer: int) -> Num[np.ndarray, "rows columns"]:
        return self.tables[name, layer]

    def spool(self, name: str, layer: int, start: int, values: Float[np.ndarray, "tokens width"]) -> None:
        raise NotImplementedError("MLP inputs are not recorded here")

    def spooled(self, name: str, layer: int, tokens: slice) -> Float[np.ndarray, "tokens width"]:
        raise NotImplementedError("MLP inputs are not recorded here")

    def unspool(self, name: str) -> None:
        pass

    def spans(self) -> list[slice]:
        return [slice(0, self.neurons)]

    def stored(self, variant: str, layer: int, neurons: slice) -> Float[np.ndarray, "neurons tokens"]:
        return self.activations[variant][layer][neurons]

    def store(self, name: str, layer: int, neurons: slice, values: Float[np.ndarray, "neurons tokens"]) -> None:
        raise NotImplementedError("changes are not split here")


@dataclass
class Recorded:
    """Texts whose activations in the dense model and in some variants are in memory. `prepared` has the words that
    `options.source` found in them; `sinks` are the tokens with a massive hidden state."""

    lm: LanguageModel
    texts: list[Text]
    options: Options
    prepared: Prepared
    sinks: Bool[np.ndarray, " tokens"]
    archive: MemoryArchive

    @classmethod
    def of(cls, lm: LanguageModel, texts: list[Text], options: Options) -> "Recorded":
        """Find the texts' words as `options.source` says, and record the dense model."""
        prepared = prepare(lm, texts, options, quiet)
        tokens = len(prepared.positions.text)
        archive, finder = MemoryArchive(tokens, shape_of(lm.model)[1]), SinkFinder(tokens)
        ids = [example.token_ids for example in prepared.examples]
        record(lm.model, ids, partial(archive.write, DENSE), see_hidden=finder.see)
        sinks = finder.mask()
        return cls(lm, texts, options, prepared.without_sinks(sinks), sinks, archive)

    def add(self, name: str, lm: LanguageModel) -> None:
        """Record a variant under this name."""
        ids = [example.token_ids for example in self.prepared.examples]
        record(lm.model, ids, partial(self.archive.write, name))

    def remove(self, name: str) -> None:
        """Forget the activations of a variant."""
        del self.archive.activations[name]

    @property
    def variants(self) -> list[str]:
        """The names of the recorded variants, without the dense model."""
        return [name for name in self.archive.activations if name != DENSE]

    def with_random_words(self, rng: np.random.Generator) -> Prepared:
        """Return the preparation with randomly drawn words of each text in place of its real ones, as many as it
        has."""
        used = {example.index: len(example.words) for example in self.prepared.examples}
        drawn = []
        for index, text in enumerate(self.texts):
            distinct = WordIndex(text.text).distinct()
            some = rng.choice(len(distinct), min(used.get(index, 0), len(distinct)), replace=False)
            drawn.append(replace(text, words=tuple(distinct[place] for place in sorted(some))))
        prepared = prepare(self.lm, drawn, replace(self.options, source="manual"), quiet)
        return prepared.without_sinks(self.sinks)

    def scored(self, prepared: Prepared, seed: int) -> tuple[Matched, Baseline]:
        """Score the neurons with the words of `prepared`, and choose the controls of the top ones."""
        options = replace(self.options, seed=seed)
        shape, device = shape_of(self.lm.model)[:2], self.lm.device
        found = match(self.archive, DENSE, prepared, options, shape, device, quiet)
        return found, baseline(self.archive, DENSE, prepared, options, found.tops, device)

    def headline(self, variant: str, prepared: Prepared, base: Baseline) -> Differences:
        """Return how much further the top neurons fell than their controls in a variant, with the p-values."""
        layers = [base.layers[layer] for layer in prepared.layers]
        pruned = []
        for layer in prepared.layers:
            values = torch.from_numpy(self.archive.activations[variant][layer])
            sums = half_sums(by_token(values, self.options.activation), base.sets, prepared.positions)
            pruned.append(headline.measured(base.layers[layer].chosen, sums, base.sets))
        chosen, dense = [layer.chosen for layer in layers], [layer.dense for layer in layers]
        return headline.differences(chosen, dense, pruned, headline.OVER_ALL)


def rows_of_task(task: str, count: int, data: Path | None) -> list[Text]:
    """Some rows of a task as an attribution's texts, with the task's prompt."""
    rows = task_texts(task, count, 0, data)
    return [Text(row.text, row.label, None, row.before, row.after, TASKS[task]) for row in rows]


def quiet(stage: str, done: int, total: int, unit: str, message: str = "", /) -> None:
    pass
