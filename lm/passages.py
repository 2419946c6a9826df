"""Prefix sharing: the common prefix of several texts is computed once, under a tree attention mask.

The choices of a question usually have the same prompt, which separate rows would process once per choice. A passage is
one row of tokens: a stem, which is the common prefix of some texts, followed by one branch for the rest of each text.
The position ids of each branch continue those of the stem, and a branch attends only to the stem and to itself, so that
every logit equals that of the text alone, up to rounding.
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
"""A text joins a passage only if the shared prefix saves at least this share of the text's tokens."""

LONGEST = 2
"""Maximum length of a passage with branches, as a multiple of its longest text, because attention is quadratic."""

WINDOWS = ("sliding_window", "window_size", "attention_chunk_size", "attention_window_size", "local_attention")
"""Names of config fields that hold the length of a limited attention window."""

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
"""Layer types (`layer_types` in configs) in which tokens interact only by attention."""


@dataclass(frozen=True)
class Passage:
    """One row of tokens for the model, and the texts that are scored from its logits.

    The first `stem` tokens are the common prefix; `branches` are the lengths of the branches after it, empty for a
    single text. `items` are pairs (index of a text in the list that `passages` was given, start of the text's branch in
    `tokens`).
    """

    tokens: tuple[int, ...]
    stem: int
    branches: tuple[int, ...]
    items: tuple[tuple[int, int], ...]

    def place(self, branch: int, position: int) -> int:
        """The index in `tokens` of the token at `position` of a text whose branch starts at `branch`."""
        return position if position < self.stem else position - self.stem + branch

    def positions(self) -> list[int]:
        """The position id of each token: its position in its text."""
        own = [self.stem + step for length in self.branches for step in range(length)]
        return [*range(self.stem), *own]

    def owners(self) -> list[int]:
        """The branch number of each token, from 1; 0 for the stem."""
        return [0] * self.stem + [number for number, n in enumerate(self.branches, start=1) for _ in range(n)]


@dataclass
class _Leaf:
    """A text that is not a prefix of another text, and the indices of all texts that are scored from it."""

    tokens: tuple[int, ...]
    items: list[int]


def passages(texts: Sequence[tuple[int, ...]], longest: int) -> list[Passage]:
    """Combine texts (token ids) into passages, sorted by length, longest first.

    A text that is a prefix of another text is scored from the other text's passage. `longest` is the maximum length of
    a passage with branches (`longest_branched`); 0 means that no passage has branches.
    """
    leaves = _leaves(texts)
    groups: list[list[_Leaf]] = []
    stem = total = 0
    for leaf in leaves:
        if groups:
            group = groups[-1]
            shared = min(stem, _shared(group[-1].tokens, leaf.tokens))
            # If the new text's common prefix is shorter, each member of the group has to repeat the rest of the old
            # stem.
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
    # Longest first, so that there is little padding, and memory runs out in the first batch or never.
    return sorted(made, key=lambda one: -len(one.tokens))


def _leaves(texts: Sequence[tuple[int, ...]]) -> list[_Leaf]:
    """The distinct texts that are not a prefix of another text, sorted by their tokens."""
    leaves: list[_Leaf] = []
    # In descending order of tokens, a text comes directly after the texts that extend it: if any leaf extends it, the
    # last one does.
    for index in sorted(range(len(texts)), key=lambda index: texts[index], reverse=True):
        if leaves and leaves[-1].tokens[: len(texts[index])] == texts[index]:
            leaves[-1].items.append(index)
        else:
            leaves.append(_Leaf(texts[index], [index]))
    return leaves[::-1]


def _passage(group: Sequence[_Leaf]) -> Passage:
    """Make a passage of one text, or of several texts with their common prefix as stem. The texts are sorted, so the
    common prefix of the first and the last is the common prefix of all."""
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
    """The length of the common prefix of two texts."""
    most = min(len(one), len(other))
    return bisect_left(range(1, most + 1), True, key=lambda count: one[:count] != other[:count])


def model_inputs(model: PreTrainedModel, some: Sequence[Passage]) -> dict[str, Tensor]:
    """The model's inputs for some passages: `input_ids`, and `position_ids` and `attention_mask` if any has branches.

    Rows are padded on the right. Without branches no mask is needed, because a causal model's other outputs do not
    depend on right padding. In a mask, the padding of each row is a separate branch, because a token that attends to no
    token would produce NaN.
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
    """The additive attention mask: 0 where a token (row) attends to another (column), else the dtype's lowest number.

    `owners` [samples, tokens] are the branch numbers of the tokens (`Passage.owners`), -1 for padding.
    """
    before = torch.ones(owners.shape[1], owners.shape[1], dtype=torch.bool, device=owners.device).tril()
    seen = before & ((owners[:, None, :] == 0) | (owners[:, None, :] == owners[:, :, None]))
    mask = torch.full(seen.shape, torch.finfo(dtype).min, dtype=dtype, device=owners.device)
    return mask.masked_fill_(seen, 0)[:, None]


def longest_branched(model: PreTrainedModel) -> int:
    """The maximum length of a passage with branches for which the model's outputs equal those of each text alone.

    This is the minimum of the model's context length, the shortest attention window of its layers (windows are measured
    in tokens, not in position ids), and the first of its `positions.length_switches`. It is 0 when the architecture
    ignores attention masks or position ids (ALiBi), or when tokens interact by other means than attention (a
    recurrence, a convolution). Properties that the config does not state are tested with a short forward pass.
    """
    config = model.config.get_text_config(decoder=True)
    if not ATTENTION.issuperset(getattr(config, "layer_types", None) or ()) or not _reads_branches(model):
        return 0
    return min([context_length(model), *windows(model), *length_switches(model)])


def windows(model: PreTrainedModel) -> list[int]:
    """The lengths in tokens of the layers' limited attention windows, from the config. An explicit attention mask would
    override these windows."""
    config = model.config.get_text_config(decoder=True)
    found = [getattr(config, name, None) for name in WINDOWS]
    return [window for window in found if isinstance(window, int) and window > 0]


@torch.inference_mode()
def _reads_branches(model: PreTrainedModel) -> bool:
    """Whether the model supports passages with branches. In a short passage, the last logits of a branch must equal
    those of its text alone, up to rounding."""
    row = Passage(tuple(range(7)), 3, (2, 2), ())
    text = torch.tensor([row.tokens], device=model.device)
    try:
        branched = model(**model_inputs(model, [row]), use_cache=False).logits[0, -1].float()
    except (TypeError, ValueError, IndexError, RuntimeError):
        return False  # the model expects another mask shape, or its vocabulary has fewer than seven tokens
    alone = model(input_ids=text[:, [0, 1, 2, 5, 6]], use_cache=False).logits[0, -1].float()
    as_one = model(input_ids=text, use_cache=False).logits[0, -1].float()
    # The difference from rounding is far smaller than the difference from wrong positions or attention (`as_one`).
    return bool((branched - alone).norm() <= torch.finfo(model.dtype).eps ** 0.5 * (as_one - alone).norm())
