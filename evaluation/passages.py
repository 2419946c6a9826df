"""Rows that the model reads for many answers: what answers share goes through the model once.

The choices of a question mostly have one prompt, which a pass for each choice reads once for every choice. Here a row
is a stem, which is what some answers begin with, and after it their branches, one behind the other: each branch has the
positions that follow the stem, and sees the stem and itself, so that every number is what the answer by itself would
give, but for rounding.
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
"""Answers share a stem where this saves so much of the tokens of each that joins."""

LONGEST = 2
"""A row with branches is at most so many times as long as the longest of its answers: attention's work is quadratic."""

WINDOWS = ("sliding_window", "window_size", "attention_chunk_size", "attention_window_size", "local_attention")
"""What configs call the tokens that a layer looks back upon, where these are not all."""

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
"""What configs call layers in which a token sees others through attention and nothing else."""


@dataclass(frozen=True)
class Passage:
    """Tokens that go through the model as one row, and what is read out of it.

    The first `stem` tokens are followed by branches of the given lengths, none where the row is one text.
    `items` are places in the list that the passage was made from, each with the place of its branch in `tokens`.
    """

    tokens: tuple[int, ...]
    stem: int
    branches: tuple[int, ...]
    items: tuple[tuple[int, int], ...]

    def place(self, branch: int, position: int) -> int:
        """Where in `tokens` a text has its token of this position; `branch` is the place of the text's branch."""
        return position if position < self.stem else position - self.stem + branch

    def positions(self) -> list[int]:
        """Each token's position in its text."""
        own = [self.stem + step for length in self.branches for step in range(length)]
        return [*range(self.stem), *own]

    def owners(self) -> list[int]:
        """Each token's branch, counted from 1; 0 is the stem."""
        return [0] * self.stem + [number for number, n in enumerate(self.branches, start=1) for _ in range(n)]


@dataclass
class _Home:
    """A text that must go through the model, and the items that are read out of it."""

    tokens: tuple[int, ...]
    items: list[int]


def passages(texts: Sequence[tuple[int, ...]], longest: int) -> list[Passage]:
    """The rows that the model must read for all texts, the longest row first.

    A text that begins another is read out of the other's pass. `longest` is the most tokens of a row with branches
    (`longest_branched`): with 0 there are none.
    """
    homes = _homes(texts)
    groups: list[list[_Home]] = []
    stem = total = 0
    for home in homes:
        if groups:
            group = groups[-1]
            shared = min(stem, _shared(group[-1].tokens, home.tokens))
            # Those in the group lose what is not shared with the new one.
            saved = shared - (len(group) - 1) * (stem - shared)
            size = total + len(home.tokens) - saved
            most = min(longest, LONGEST * max(len(one.tokens) for one in (*group, home)))
            if saved >= SAVED * len(home.tokens) and size <= most:
                group.append(home)
                stem, total = shared, size
                continue
        groups.append([home])
        stem = total = len(home.tokens)
    made = [_passage(group) for group in groups]
    return sorted(made, key=lambda one: -len(one.tokens))  # little padding, and memory runs out at once or never


def _homes(texts: Sequence[tuple[int, ...]]) -> list[_Home]:
    """The different texts that begin no other, in the order of their tokens."""
    homes: list[_Home] = []
    # What begins with a text comes right after it in this order: from the end, only the last home can be its own.
    for index in sorted(range(len(texts)), key=lambda index: texts[index], reverse=True):
        if homes and homes[-1].tokens[: len(texts[index])] == texts[index]:
            homes[-1].items.append(index)
        else:
            homes.append(_Home(texts[index], [index]))
    return homes[::-1]


def _passage(group: Sequence[_Home]) -> Passage:
    """One text, or several after what all of them begin with. In order, so that the outer two differ first."""
    first = group[0].tokens
    if len(group) == 1:
        return Passage(first, len(first), (), tuple((item, len(first)) for item in group[0].items))
    stem = _shared(first, group[-1].tokens)
    tokens = first[:stem]
    items: list[tuple[int, int]] = []
    for home in group:
        items += [(item, len(tokens)) for item in home.items]
        tokens += home.tokens[stem:]
    return Passage(tokens, stem, tuple(len(home.tokens) - stem for home in group), tuple(items))


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many tokens both begin with."""
    most = min(len(one), len(other))
    return bisect_left(range(1, most + 1), True, key=lambda count: one[:count] != other[:count])


def model_inputs(model: PreTrainedModel, some: Sequence[Passage]) -> dict[str, Tensor]:
    """What the model is given for some passages: `input_ids`, and positions and a mask where one has branches.

    Right padding needs no mask in a causal model: the tokens in it are never read. With a mask, each row's padding is a
    branch of its own, so that no token sees nothing, which would be no number.
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
    """0 where a token (row) sees another (column), the type's lowest number elsewhere; `owners` [samples, tokens]."""
    before = torch.ones(owners.shape[1], owners.shape[1], dtype=torch.bool, device=owners.device).tril()
    seen = before & ((owners[:, None, :] == 0) | (owners[:, None, :] == owners[:, :, None]))
    mask = torch.full(seen.shape, torch.finfo(dtype).min, dtype=dtype, device=owners.device)
    return mask.masked_fill_(seen, 0)[:, None]


def longest_branched(model: PreTrainedModel) -> int:
    """The most tokens of a row with branches that the model reads as it would read each branch by itself.

    That is its context, or the shortest window of its layers, in which they count tokens and not positions, or the
    length beyond which it reads all of a pass in another way (`positions.length_switches`). 0 where the
    architecture takes no mask or no positions (ALiBi) or is more than attention (a recurrence, a convolution): what the
    config does not say is found out by trying with a few tokens.
    """
    config = model.config.get_text_config(decoder=True)
    if not ATTENTION.issuperset(getattr(config, "layer_types", None) or ()) or not _reads_branches(model):
        return 0
    return min([context_length(model), *windows(model), *length_switches(model)])


def windows(model: PreTrainedModel) -> list[int]:
    """How many tokens layers look back upon, where these are not all; a mask of ours would let them see all."""
    config = model.config.get_text_config(decoder=True)
    found = [getattr(config, name, None) for name in WINDOWS]
    return [window for window in found if isinstance(window, int) and window > 0]


@torch.inference_mode()
def _reads_branches(model: PreTrainedModel) -> bool:
    """Whether a branch's last logits are those of the branch by itself, and not those of the row read as one text."""
    row = Passage(tuple(range(7)), 3, (2, 2), ())
    text = torch.tensor([row.tokens], device=model.device)
    try:
        branched = model(**model_inputs(model, [row]), use_cache=False).logits[0, -1].float()
    except (TypeError, ValueError, IndexError, RuntimeError):
        return False  # it wants its mask in another shape, or has not seven tokens to try
    alone = model(input_ids=text[:, [0, 1, 2, 5, 6]], use_cache=False).logits[0, -1].float()
    as_one = model(input_ids=text, use_cache=False).logits[0, -1].float()
    # Rounding is far below what other tokens and other positions do.
    return bool((branched - alone).norm() <= torch.finfo(model.dtype).eps ** 0.5 * (as_one - alone).norm())
