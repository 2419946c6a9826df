"""Cuts text into token windows of equal length.

All random numbers are drawn from the `rng` argument: the same state, texts and tokenizer give the same windows.

`start` are the ids that every window begins with (`tokenizer.window_start`: BOS). They are included in `seqlen`, and
the rest of a window is cut from ids without special tokens (`tokens_of` with `special` False). With `start` () no
window has special tokens. With None, special tokens are where the tokenizer adds them, around a whole text or page, as
in the published code of SparseGPT and Wanda.
"""

import random
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from prunescope.lm.errors import BadData, BadInput
from prunescope.lm.tokenizer import check_characters

PADDING = 0  # an id of every model; in a causal model no text token attends to the padding after it

Start = Sequence[int] | None


def text_length(seqlen: int, start: Start) -> int:
    """Return the number of text tokens in a window, without `start`. Raises BadInput when it is below one."""
    length = seqlen - len(start or ())
    if length < 1:
        raise BadInput(
            f"seqlen {seqlen} leaves no token of text beside the {len(start or ())} that every window begins with "
            f"(BOS): give a larger seqlen, or bos never"
        )
    return length


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = True) -> Int[Tensor, " tokens"]:
    """Return the ids of one text, not truncated, with the tokenizer's special tokens unless `special` is False.

    Raises BadText for a lone surrogate.
    """
    check_characters(text)
    # Not verbose, because a corpus longer than the model's context is normal and needs no warning.
    return torch.tensor(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"], dtype=torch.long)


def random_windows(
    ids: Int[Tensor, " tokens"], samples: int, seqlen: int, rng: random.Random, *, start: Start = None
) -> Int[Tensor, "samples seqlen"]:
    """Return `samples` windows of `seqlen` tokens at random positions; they may overlap.

    Start positions are `rng.randint(0, len - seqlen - 1)`, as in the code of SparseGPT and Wanda, where `seqlen` is
    reduced by the length of `start`. Raises BadData when there are not more than `seqlen` tokens, `start` included.
    """
    length = text_length(seqlen, start)
    if len(ids) <= length:
        count = len(ids) + seqlen - length
        raise BadData(f"the text has {count} tokens; windows of {seqlen} need more than that: give a smaller seqlen")
    places = [rng.randint(0, len(ids) - length - 1) for _ in range(samples)]
    return _with_start(torch.stack([ids[place : place + length] for place in places]), start)


def consecutive_windows(
    ids: Int[Tensor, " tokens"], seqlen: int, most: int | None = None, *, start: Start = None
) -> Int[Tensor, "samples seqlen"]:
    """Return consecutive non-overlapping windows of `seqlen` tokens: all complete ones, or the first `most`. Raises
    BadData when not one is complete."""
    length = text_length(seqlen, start)
    whole = len(ids) // length
    if not whole:
        count = len(ids) + seqlen - length
        raise BadData(f"the text has {count} tokens, fewer than one window of {seqlen}: give a smaller seqlen")
    return _with_start(ids[: whole * length].view(whole, length)[:most], start)


def document_windows(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    samples: int,
    seqlen: int,
    rng: random.Random,
    *,
    start: Start = None,
) -> Int[Tensor, "samples seqlen"]:
    """Return `samples` windows from random documents: for each window, draw documents until one has more than `seqlen`
    tokens, then draw the window's start in it.

    The draws are those of the published code with Python's `random`, where `seqlen` is reduced by the length of
    `start`. Raises BadData, with the longest document's length, when no document is long enough.
    """
    length = text_length(seqlen, start)
    tokenised: dict[int, Int[Tensor, " tokens"]] = {}
    windows: list[Int[Tensor, " seqlen"]] = []
    while len(windows) < samples:
        chosen = rng.randint(0, len(texts) - 1)
        if chosen not in tokenised:
            tokenised[chosen] = tokens_of(tokenizer, texts[chosen], special=start is None)
        ids = tokenised[chosen]
        if len(ids) > length:
            place = rng.randint(0, len(ids) - length - 1)
            windows.append(ids[place : place + length])
        elif not windows and len(tokenised) == len(texts):  # every document was drawn, and none was long enough
            longest = max(len(ids) for ids in tokenised.values()) + seqlen - length
            raise BadData(
                f"no document has more than {seqlen} tokens, the longest of {len(texts)} has {longest}: "
                f"give a seqlen below {longest}, or longer documents"
            )
    return _with_start(torch.stack(windows), start)


def joined_windows(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    samples: int,
    seqlen: int,
    rng: random.Random,
    *,
    between: str,
    start: Start = None,
) -> Int[Tensor, "samples seqlen"]:
    """Return `samples` windows of concatenated texts: for each window, append random texts, separated by `between`,
    until the window is full; the last text is cut.

    A window is tokenised as one string, and not text by text, so special tokens are only at its start. Raises BadData
    when the texts give too few tokens.
    """
    length = text_length(seqlen, start)
    lengths: dict[str, int] = {}  # tokens of single texts, to estimate when the window is full
    windows = []
    for _ in range(samples):
        parts: list[str] = []
        ids = torch.empty(0, dtype=torch.long)
        expected = 0
        while len(ids) < length:
            if len(parts) > length:
                raise BadData(
                    f"{len(parts)} texts have {len(ids) + seqlen - length} tokens, too few for a window of {seqlen}: "
                    f"give a smaller seqlen, longer texts, or the tokenizer that belongs to them"
                )
            parts.append(rng.choice(texts))
            if parts[-1] not in lengths:
                lengths[parts[-1]] = len(tokens_of(tokenizer, between + parts[-1], special=False))
            expected += lengths[parts[-1]]
            if expected >= length or len(parts) > length:
                ids = tokens_of(tokenizer, between.join(parts), special=start is None)
                expected = len(ids)
        windows.append(ids[:length])
    return _with_start(torch.stack(windows), start)


def single_windows(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    samples: int,
    seqlen: int,
    rng: random.Random,
    *,
    start: Start = None,
) -> tuple[Int[Tensor, "samples tokens"], Int[Tensor, " samples"]]:
    """Return windows with one text each, drawn without replacement from the distinct texts, and their lengths without
    padding.

    Texts of more than `seqlen` tokens are cut; shorter ones are padded on the right to the longest window. Raises
    BadData when there are fewer distinct texts than windows.
    """
    different = list(dict.fromkeys(texts))
    if samples > len(different):
        raise BadData(
            f"{samples} windows with one example each are asked for, but there are {len(different)} different ones: "
            f"give samples of at most {len(different)}, or let each window hold several (mode concat)"
        )
    length = text_length(seqlen, start)
    drawn = [tokens_of(tokenizer, text, special=start is None)[:length] for text in rng.sample(different, samples)]
    if not all(map(len, drawn)):
        raise BadData("the tokenizer gives no tokens for some of the examples; is it the right one for them?")
    drawn = [_with_start(ids[None], start)[0] for ids in drawn]
    lengths = torch.tensor([len(ids) for ids in drawn])
    return torch.nn.utils.rnn.pad_sequence(drawn, batch_first=True, padding_value=PADDING), lengths


def _with_start(windows: Int[Tensor, "samples tokens"], start: Start) -> Int[Tensor, "samples seqlen"]:
    """Return the windows with `start` prepended to each."""
    if not start:
        return windows
    return torch.cat([torch.tensor([list(start)] * len(windows)), windows], dim=1)
