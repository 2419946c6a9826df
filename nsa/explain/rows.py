"""The rows of an explanation as token sequences, their margins, and the two halves, each of which ranks for the other.

    margin of a row = log p(right choice) - max over wrong choices of log p(wrong choice)     in nats
    margin of a window of text = mean log p of its tokens, which is minus its loss

log p of a choice is the sum over its tokens, as in the evaluation of tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.lm.answers import Encoded


@dataclass(frozen=True)
class Row:
    """One row: the token ids of its choices with their prompt, and the index of the right one. A window of text has one
    choice. `label` is the right label of a task whose choices are the same in every row, else None. `index` is the
    row's index in its file or split."""

    index: int
    choices: tuple[Encoded, ...]
    answer: int
    label: int | None = None


def margin_of(row: Row, scores: Float[Tensor, " choices"]) -> Float[Tensor, ""]:
    """The margin of one row from the log-probabilities of its choices; differentiable."""
    if len(row.choices) == 1:
        return scores[0] / len(row.choices[0].answer)
    wrong = torch.cat([scores[: row.answer], scores[row.answer + 1 :]])
    return scores[row.answer] - wrong.max()


def margins(rows: Sequence[Row], scores: Sequence[Sequence[float]]) -> Float[np.ndarray, " rows"]:
    """The margins of rows from the log-probabilities of their choices."""
    return np.array(
        [float(margin_of(row, torch.tensor(own, dtype=torch.float64))) for row, own in zip(rows, scores, strict=True)]
    )


def is_right(rows: Sequence[Row], scores: Sequence[Sequence[float]]) -> Bool[np.ndarray, " rows"]:
    """Whether the right choice has the highest log-probability, the first one of equal ones; True for windows."""
    return np.array([row.answer == int(np.argmax(own)) for row, own in zip(rows, scores, strict=True)], dtype=bool)


Numbers = Int[np.ndarray, " some"]
"""Numbers of rows, ascending."""


def halves(
    rows: Sequence[Row], broken: Bool[np.ndarray, " rows"], fell: Bool[np.ndarray, " rows"], seed: int
) -> tuple[Numbers, Numbers]:
    """Deal the rows to two halves at random. Rows with the same label, and alike in being broken and in whose margin
    fell, are dealt alternately, so that the halves differ by at most one row in each of these groups."""
    rng = np.random.default_rng(seed)
    order: list[int] = []
    groups: dict[tuple[bool, bool, int], list[int]] = {}
    for number, row in enumerate(rows):
        label = -1 if row.label is None else row.label
        groups.setdefault((not broken[number], not fell[number], label), []).append(number)
    for group in sorted(groups):
        order += rng.permutation(groups[group]).tolist()
    return np.sort(np.array(order[::2], dtype=int)), np.sort(np.array(order[1::2], dtype=int))
