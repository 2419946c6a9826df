"""Prefix sharing: token rows in which answers with a common prefix share its computation.

The choices of a question usually have the same prompt, which separate passes would process once per choice. Here a row
(a passage) is a stem, the common prefix of some texts, followed by their branches, one after another. Each branch has
position ids that continue the stem and attends to the stem and itself, so that every logit equals that of the text
alone, up to rounding.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import context_length
from prunescope.lm.positions import length_switches

SAVED = 0.25
"""Texts share a stem when this saves at least this share of the tokens of each text that joins."""

LONGEST = 2
"""A row with branches is at most this many times as long as its longest text, because attention is quadratic."""

WINDOWS = ("sliding_window", "window_size", "attention_chunk_size", "attention_window_size", "local_attention")
"""Config fields with the length of a limited attention window."""

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
"""Layer types in configs whose tokens interact only by attention."""


@dataclass(frozen=True)
class Passage:
    """Tokens that go through the model as one row, and the items that are scored from it.

    The first `stem` tokens are followed by branches of the given lengths; a row with one text has none. `items` are
    (index in the list of texts that the passages were made from, start of its branch in `tokens`).
    """

    tokens: tuple[int, ...]
    stem: int
    branches: tuple[int, ...]
    items: tuple[tuple[int, int], ...]

    def place(self, branch: int, position: int) -> int:
        """The index in `tokens` of a text's token at `position`; `branch` is the start of the text's branch."""
        return position if position < self.stem else position - self.stem + branch

    def positions(self) -> list[int]:
        """Each token's position id, which is its position in its text."""
        own = [self.stem + step for length in self.branches for step in range(length)]
        return [*range(self.stem), *own]

    def owners(self) -> list[int]:
        """Each token's branch number, from 1; 0 for the stem."""
        return [0] * self.stem + [number for number, n in enumerate(self.branches, start=1) for _ in range(n)]


@dataclass
class _Leaf:
    """A text that must go through the model, and the items that are scored from it."""

    tokens: tuple[int, ...]
    items: list[int]


def passages(texts: Sequence[tuple[int, ...]], longest: int) -> list[Passage]:
    """Combine texts into passages, longest first.

    A text that is a prefix of another is scored from the other's row. `longest` is the maximum length of a row with
    branches (`longest_branched`); 0 means no branches.
    """
    leaves = _leaves(texts)
    groups: list[list[_Leaf]] = []
    stem = total = 0
    for leaf in leaves:
        if groups:
            group = groups[-1]
            shared = min(stem, _shared(group[-1].tokens, leaf.tokens))
            # The group's members no longer share what the new one does not have.
            saved = shared - (len(group) - 1) * (stem - shared)
            size = total + len(leaf.tokens) - saved
            most = min(longest, LONGEST * max(len(one.tokens) for one in (*group, leaf)))
            if saved >= SAVED * len(leaf.tokens) and size <= most:
                group.append(leaf)
                stem, total = shared, size
                continue
        groups.append([leaf])
        stem = total = len(leaf.tokens)
    made = [_passage(group) for group in groups]
    # Longest first: little padding, and memory runs out in the first batch or never.
    return sorted(made, key=lambda one: -len(one.tokens))


def _leaves(texts: Sequence[tuple[int, ...]]) -> list[_Leaf]:
    """The distinct texts that are not a prefix of another, sorted by their tokens."""
    leaves: list[_Leaf] = []
    # In this order, texts that extend a text follow it: going backwards, only the last leaf can extend it.
    for index in sorted(range(len(texts)), key=lambda index: texts[index], reverse=True):
        if leaves and leaves[-1].tokens[: len(texts[index])] == texts[index]:
            leaves[-1].items.append(index)
        else:
            leaves.append(_Leaf(texts[index], [index]))
    return leaves[::-1]


def _passage(group: Sequence[_Leaf]) -> Passage:
    """Make a passage of one text, or of several with their common prefix as stem. They are sorted, so the first and the
    last have the shortest common prefix."""
    first = group[0].tokens
    if len(group) == 1:
        return Passage(first, len(first), (), tuple((item, len(first)) for item in group[0].items))
    stem = _shared(first, group[-1].tokens)
    tokens = first[:stem]
    items: list[tuple[int, int]] = []
    for leaf in group:
        items += [(item, len(tokens)) for item in leaf.items]
        tokens += leaf.tokens[stem:]
    return Passage(tokens, stem, tuple(len(leaf.tokens) - stem for leaf in group), tuple(items))


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """The length of the common prefix."""
    most = min(len(one), len(other))
    return bisect_left(range(1, most + 1), True, key=lambda count: one[:count] != other[:count])


def model_inputs(model: PreTrainedModel, some: Sequence[Passage]) -> dict[str, Tensor]:
    """The model's inputs for some passages: `input_ids`, and position ids and an attention mask if any has branches.

    Right padding needs no mask in a causal model, because its outputs are not used. With a mask, each row's padding is
    a branch of its own, because a token that attends to nothing would give NaN.
    """
    longest = max(len(one.tokens) for one in some)
    missing = [longest - len(one.tokens) for one in some]
    ids = [[*one.tokens, *[one.tokens[-1]] * n] for one, n in zip(some, missing, strict=True)]
    inputs = {"input_ids": torch.tensor(ids, device=model.device)}
    if any(one.branches for one in some):
        positions = [[*one.positions(), *[0] * n] for one, n in zip(some, missing, strict=True)]
        owners = [[*one.owners(), *[-1] * n] for one, n in zip(some, missing, strict=True)]
        inputs["position_ids"] = torch.tensor(positions, device=model.device)
        inputs["attention_mask"] = _mask(torch.tensor(owners, device=model.device), model.dtype)
    return inputs


def _mask(owners: Tensor, dtype: torch.dtype) -> Float[Tensor, "samples 1 tokens tokens"]:
    """The additive attention mask: 0 where a token (row) attends to another (column), else the dtype's lowest number;
    `owners` [samples, tokens]."""
    before = torch.ones(owners.shape[1], owners.shape[1], dtype=torch.bool, device=owners.device).tril()
    seen = before & ((owners[:, None, :] == 0) | (owners[:, None, :] == owners[:, :, None]))
    mask = torch.full(seen.shape, torch.finfo(dtype).min, dtype=dtype, device=owners.device)
    return mask.masked_fill_(seen, 0)[:, None]


def longest_branched(model: PreTrainedModel) -> int:
    """The maximum length of a row with branches for which the model's outputs equal those of each text alone.

    This is the minimum of its context length, the shortest attention window of its layers (windows count tokens, not
    position ids), and the first of its `positions.length_switches`. It is 0 when the architecture ignores masks or
    position ids (ALiBi) or has other token interactions than attention (a recurrence, a convolution). What the config
    does not say is tested with a few tokens.
    """
    config = model.config.get_text_config(decoder=True)
    if not ATTENTION.issuperset(getattr(config, "layer_types", None) or ()) or not _reads_branches(model):
        return 0
    return min([context_length(model), *windows(model), *length_switches(model)])


def windows(model: PreTrainedModel) -> list[int]:
    """The layers' limited attention windows in tokens; an explicit mask would override them."""
    config = model.config.get_text_config(decoder=True)
    found = [getattr(config, name, None) for name in WINDOWS]
    return [window for window in found if isinstance(window, int) and window > 0]


@torch.inference_mode()
def _reads_branches(model: PreTrainedModel) -> bool:
    """Whether, on a short test row, a branch's last logits equal those of its text alone, and not those of the row as
    one text."""
    row = Passage(tuple(range(7)), 3, (2, 2), ())
    text = torch.tensor([row.tokens], device=model.device)
    try:
        branched = model(**model_inputs(model, [row]), use_cache=False).logits[0, -1].float()
    except (TypeError, ValueError, IndexError, RuntimeError):
        return False  # it expects another mask shape, or its vocabulary is smaller than seven tokens
    alone = model(input_ids=text[:, [0, 1, 2, 5, 6]], use_cache=False).logits[0, -1].float()
    as_one = model(input_ids=text, use_cache=False).logits[0, -1].float()
    # Rounding differences are far smaller than those of other tokens or positions.
    return bool((branched - alone).norm() <= torch.finfo(model.dtype).eps ** 0.5 * (as_one - alone).norm())
