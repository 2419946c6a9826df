"""Cutting text into token windows, all of one length.

Every drawing takes its random numbers from the `rng` it is given and from nowhere else: the same state, texts and
tokenizer give the same windows.
"""

import random
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lm.errors import BadData

PADDING = 0  # an id that every model has; a causal model's real tokens never see what stands after them


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = True) -> Int[Tensor, " tokens"]:
    """The ids of one text, with the tokenizer's special tokens around it unless `special` is False; never cut."""
    # Not verbose: a whole corpus is longer than the model's context, and is meant to be.
    return torch.tensor(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"], dtype=torch.long)


def random_windows(
    ids: Int[Tensor, " tokens"], samples: int, seqlen: int, rng: random.Random
) -> Int[Tensor, "samples seqlen"]:
    """`samples` windows of `seqlen` tokens that start at random places; they may overlap.

    Starts are `rng.randint(0, len - seqlen - 1)`, as the authors of SparseGPT and Wanda draw them. Raises BadData when
    there are not more than `seqlen` tokens.
    """
    if len(ids) <= seqlen:
        raise BadData(f"the text has {len(ids)} tokens; windows of {seqlen} need more than that: give a smaller seqlen")
    starts = [rng.randint(0, len(ids) - seqlen - 1) for _ in range(samples)]
    return torch.stack([ids[start : start + seqlen] for start in starts])


def consecutive_windows(
    ids: Int[Tensor, " tokens"], seqlen: int, most: int | None = None
) -> Int[Tensor, "samples seqlen"]:
    """Windows of `seqlen` tokens one after another from the start, that do not overlap: as many as are whole, or the
    first `most` of them. Raises BadData when there is not one."""
    whole = len(ids) // seqlen
    if not whole:
        raise BadData(f"the text has {len(ids)} tokens, fewer than one window of {seqlen}: give a smaller seqlen")
    return ids[: whole * seqlen].view(whole, seqlen)[:most]


def document_windows(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, samples: int, seqlen: int, rng: random.Random
) -> Int[Tensor, "samples seqlen"]:
    """For each window, draw documents until one has more than `seqlen` tokens, then draw the window's start in it.

    The draws are those of the authors' code with Python's `random`. Raises BadData, with the longest document's length,
    when no document is long enough.
    """
    tokenised: dict[int, Int[Tensor, " tokens"]] = {}
    windows: list[Int[Tensor, " seqlen"]] = []
    while len(windows) < samples:
        chosen = rng.randint(0, len(texts) - 1)
        if chosen not in tokenised:
            tokenised[chosen] = tokens_of(tokenizer, texts[chosen])
        ids = tokenised[chosen]
        if len(ids) > seqlen:
            start = rng.randint(0, len(ids) - seqlen - 1)
            windows.append(ids[start : start + seqlen])
        elif not windows and len(tokenised) == len(texts):  # every document was drawn, and none was long enough
            longest = max(len(ids) for ids in tokenised.values())
            raise BadData(
                f"no document has more than {seqlen} tokens, the longest of {len(texts)} has {longest}: "
                f"give a seqlen below {longest}, or longer documents"
            )
    return torch.stack(windows)


def joined_windows(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    samples: int,
    seqlen: int,
    rng: random.Random,
    *,
    between: str,
) -> Int[Tensor, "samples seqlen"]:
    """For each window, append texts drawn at random, `between` each two of them, until it is full; the last one is cut.

    A window is tokenised as the one text it is, so that its special tokens stand before its first text only and words
    meet at the seams as they would in any text. Raises BadData when the tokenizer makes too little of the texts.
    """
    lengths: dict[str, int] = {}  # alone, after `between`: says when it is worth while to tokenise the whole
    windows = []
    for _ in range(samples):
        parts: list[str] = []
        ids = torch.empty(0, dtype=torch.long)
        expected = 0
        while len(ids) < seqlen:
            if len(parts) > seqlen:
                raise BadData(
                    f"{len(parts)} texts have {len(ids)} tokens, too few for a window of {seqlen}: "
                    f"give a smaller seqlen, longer texts, or the tokenizer that belongs to them"
                )
            parts.append(rng.choice(texts))
            if parts[-1] not in lengths:
                lengths[parts[-1]] = len(tokens_of(tokenizer, between + parts[-1], special=False))
            expected += lengths[parts[-1]]
            if expected >= seqlen or len(parts) > seqlen:
                ids = tokens_of(tokenizer, between.join(parts))
                expected = len(ids)
        windows.append(ids[:seqlen])
    return torch.stack(windows)


def single_windows(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, samples: int, seqlen: int, rng: random.Random
) -> tuple[Int[Tensor, "samples tokens"], Int[Tensor, " samples"]]:
    """One text in each window, drawn without replacement among the different ones; and how many tokens of it are real.

    Texts of more than `seqlen` tokens are cut; the windows are as long as the longest of them, the shorter ones padded
    at the right. Raises BadData when there are fewer different texts than windows.
    """
    different = list(dict.fromkeys(texts))
    if samples > len(different):
        raise BadData(
            f"{samples} windows with one example each are asked for, but there are {len(different)} different ones: "
            f"give samples of at most {len(different)}, or let each window hold several (mode concat)"
        )
    drawn = [tokens_of(tokenizer, text)[:seqlen] for text in rng.sample(different, samples)]
    lengths = torch.tensor([len(ids) for ids in drawn])
    if not bool(lengths.all()):
        raise BadData("the tokenizer makes no token of some of the examples; is it the one that belongs to them?")
    return torch.nn.utils.rnn.pad_sequence(drawn, batch_first=True, padding_value=PADDING), lengths
