"""Rows of random tokens, a pruned copy of a tiny model, and spools in memory: real parts for tests of explanations."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from prunescope.lm.answers import Encoded
from prunescope.lm.architecture import decoder_layers, linears
from prunescope.lm.passages import longest_branched, windows
from prunescope.lm.positions import length_switches
from prunescope.nsa.explain.layout import Layout
from prunescope.nsa.explain.rows import Row
from prunescope.nsa.explain.running import Subject
from prunescope.nsa.explain.sites import sites_of
from prunescope.nsa.explain.spools import Recorded
from tests.models import VOCABULARY, tiny


class MemorySpool:
    """A spool in memory."""

    def __init__(self, name: str, shape: tuple[int, int, int], dtype: type[np.generic]) -> None:
        self.name, self.values = name, np.zeros(shape, dtype=dtype)

    def write(self, layer: int, start: int, values: NDArray[np.generic]) -> None:
        self.values[layer, start : start + len(values)] = values


def silent(_done: int, _total: int) -> None:
    """Progress that nobody reads."""


def random_rows(count: int, choices: int = 3, labels: bool = False, seed: int = 0) -> list[Row]:
    """Rows with a prompt of 4 to 9 tokens and choices of one to three tokens, or one token each for fixed labels."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        prompt = tuple(rng.integers(2, VOCABULARY, rng.integers(4, 10)).tolist())
        answers = [
            (2 + label,) if labels else tuple(rng.integers(2, VOCABULARY, rng.integers(1, 4)).tolist())
            for label in range(choices)
        ]
        encoded = tuple(Encoded((*prompt, *answer)[:-1], answer, truncated=False) for answer in answers)
        right = int(rng.integers(choices))
        rows.append(Row(index, encoded, right, right if labels else None))
    return rows


def pruned_copy(model: PreTrainedModel, share: float = 0.3, seed: int = 1) -> PreTrainedModel:
    """A copy of a model with this share of every linear's weights set to zero at random."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for layer in decoder_layers(other):
        for module in linears(layer).values():
            weight = module.weight.data  # type: ignore[union-attr]
            weight[torch.rand(weight.shape, generator=generator) < share] = 0  # type: ignore[index, arg-type]
    return other


@dataclass
class Pair:
    """A dense and a pruned model on the same rows, with the recorded activations and scores of both."""

    layout: Layout
    dense: Subject
    pruned: Subject
    dense_recorded: Recorded
    pruned_recorded: Recorded
    dense_scores: dict[int, list[float]]
    pruned_scores: dict[int, list[float]]


def layout_of(model: PreTrainedModel, rows: Sequence[Row], sinks: bool = False) -> Layout:
    """The layout of rows for a model, with token 0 as the special one."""
    return Layout(
        rows,
        longest=longest_branched(model),
        switches=length_switches(model),
        window=min(windows(model), default=None),
        special={0},
        sinks=sinks,
    )


def pair(
    family: str, rows: Sequence[Row], *, heads: bool = True, sinks: bool = False, pruned: PreTrainedModel | None = None
) -> Pair:
    """A tiny model of a family and a pruned copy of it."""
    model = tiny(family)
    other = pruned_copy(model) if pruned is None else pruned
    layout = layout_of(model, rows, sinks)
    subjects = [Subject(each, sites_of(each, heads), layout, name) for each, name in ((model, "d"), (other, "p"))]
    recorded = [Recorded(MemorySpool, each.name, each.sites, layout.tokens, torch.float32) for each in subjects]
    scores = [each.record(into, range(len(rows))) for each, into in zip(subjects, recorded, strict=True)]
    return Pair(layout, *subjects, *recorded, *scores)
