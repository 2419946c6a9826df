"""Log-probabilities of the answers after a prompt, from one forward pass over passages (`lm.passages`).

The softmax is always in float32. Gradients flow if the caller's mode allows them.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.passages import Passage, model_inputs
from prunescope.lm.positions import side


@dataclass(frozen=True)
class Encoded:
    """A tokenised prompt and answer. `inputs` are the tokens of prompt and answer without the last one, so the last
    len(`answer`) inputs predict the tokens of `answer`. `truncated`: whether the prompt was cut on the left."""

    inputs: tuple[int, ...]
    answer: tuple[int, ...]
    truncated: bool


def apart(
    some: Sequence[Passage], lengths: Sequence[int], switches: Sequence[int], window: int | None = None
) -> list[list[Passage]]:
    """Split passages into groups that may share a forward pass.

    `switches` are the lengths at which the model computes positions differently (`lm.positions.length_switches`); all
    texts of a group lie between the same two switches. A passage whose texts do not is itself split. `window` is the
    shortest limited attention window; texts longer than it are not grouped with branched passages, because the explicit
    attention mask of these has no window. `lengths` are the lengths in tokens of the texts, by item.
    """
    parts: dict[tuple[int, bool], list[Passage]] = {}
    for passage in some:
        by_side: dict[int, list[tuple[int, int]]] = {}
        for item, branch in passage.items:
            by_side.setdefault(side(switches, lengths[item]), []).append((item, branch))
        for which, items in by_side.items():
            own = passage
            if len(by_side) > 1:  # one text and prefixes of it; `longest_branched` keeps branched passages on one side
                longest = max(lengths[item] for item, _ in items)
                own = Passage(passage.tokens[:longest], longest, (), tuple((item, longest) for item, _ in items))
            windowed = window is not None and not own.branches and len(own.tokens) > window
            parts.setdefault((which, windowed), []).append(own)
    return list(parts.values())


def answer_log_probabilities(
    model: PreTrainedModel, some: Sequence[Passage], encoded: Sequence[Encoded]
) -> tuple[list[int], Float[Tensor, " tokens"]]:
    """Run passages that may share a forward pass (`apart`) through the model once.

    Returns (indices in `encoded`, natural log-probabilities of all tokens of their answers, one item after the other).
    """
    items = [item for passage in some for item, _ in passage.items]
    predicting = [
        (row, passage.place(branch, position), token)
        for row, passage in enumerate(some)
        for item, branch in passage.items
        for position, token in _predictions(encoded[item])
    ]
    kept = sorted({place for _, place, _ in predicting})
    slot = {place: number for number, place in enumerate(kept)}
    logits = _logits(model, model_inputs(model, some), kept)
    rows, slots, tokens = torch.tensor([(row, slot[p], t) for row, p, t in predicting], device=logits.device).T
    log_probabilities = logits[rows, slots].float().log_softmax(dim=-1).gather(1, tokens[:, None])
    return items, log_probabilities[:, 0]


def _predictions(item: Encoded) -> list[tuple[int, int]]:
    """(position of the predicting input, answer token) for each token of the answer."""
    return list(enumerate(item.answer, start=len(item.inputs) - len(item.answer)))


def _logits(
    model: PreTrainedModel, inputs: Mapping[str, Tensor], kept: Sequence[int]
) -> Float[Tensor, "samples tokens vocabulary"]:
    """The logits at the positions `kept` only. Most models can skip the others, which saves much time and memory for a
    large vocabulary."""
    logits: Tensor
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        places = torch.tensor(kept, device=inputs["input_ids"].device)
        logits = model(**inputs, use_cache=False, logits_to_keep=places).logits
    else:
        logits = model(**inputs, use_cache=False).logits[:, kept]
    return logits
