"""Log-likelihood of answers after a prompt: the harness's tokens and sums, several prompts in one pass.

Follows lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair`, `HFLM._loglikelihood_tokens`): the prompt and the whole
are tokenised apart and the answer is what the whole has more; too long a prompt loses tokens on the left. The softmax
is always taken in float32, which the harness does with `softmax_dtype="float32"`.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lm.errors import BadText


@dataclass(frozen=True)
class Encoded:
    """What the model is given, and the last tokens it is asked for: `inputs` predict `answer`, shifted by one."""

    inputs: tuple[int, ...]
    answer: tuple[int, ...]
    truncated: bool


def encode(tokenizer: PreTrainedTokenizerBase, prompt: str, continuation: str, length: int) -> Encoded:
    """Tokens of the prompt and its continuation, cut on the left to `length` inputs.

    An empty prompt is the tokenizer's BOS (or EOS where it has none), as in the harness. Raises BadText when the
    tokenizer leaves nothing of the continuation, or when it alone is longer than `length`.
    """
    context, answer = _pair(tokenizer, prompt, continuation)
    if not 0 < len(answer) <= length:
        raise BadText(f"answer {continuation!r} is {len(answer)} tokens after its prompt, but must be 1 to {length}")
    tokens = context + answer
    return Encoded(tuple(tokens[-(length + 1) : -1]), tuple(answer), truncated=len(tokens) > length + 1)


def _pair(tokenizer: PreTrainedTokenizerBase, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
    if not prompt:
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if first is None:
            raise BadText(
                f"answer {continuation[:60]!r} has no prompt, and the tokenizer no BOS or EOS to stand before it"
            )
        ids: list[int] = tokenizer(continuation, add_special_tokens=False, verbose=False)["input_ids"]
        return (ids[:1], ids[1:]) if ids[:1] == [first] else ([first], ids)
    stripped = prompt.rstrip()
    context = _ids(tokenizer, stripped)
    return context, _ids(tokenizer, prompt + continuation)[len(context) :]


def log_likelihoods(model: PreTrainedModel, encoded: Sequence[Encoded]) -> list[float]:
    """The summed log-probability (natural, float32) of each answer's tokens, all in one forward pass.

    Inputs that begin alike share a row: an input that is the beginning of another is read out of that one's pass.
    """
    rows, row_of = _distinct([item.inputs for item in encoded])
    longest = max(map(len, rows))
    # Right padding needs no mask in a causal model; the tokens in it are never read.
    ids = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows], device=model.device)
    positions = [range(len(item.inputs) - len(item.answer), len(item.inputs)) for item in encoded]
    kept = sorted(set().union(*positions))
    logits = _logits(model, ids, kept)
    place = {position: slot for slot, position in enumerate(kept)}
    sums = []
    for item, row, wanted in zip(encoded, row_of, positions, strict=True):
        log_probabilities = logits[row, [place[p] for p in wanted]].float().log_softmax(dim=-1)
        answer = torch.tensor(item.answer, device=logits.device)
        sums.append(log_probabilities.gather(1, answer[:, None]).sum())
    return torch.stack(sums).tolist()


def _logits(model: PreTrainedModel, ids: Tensor, kept: list[int]) -> Float[Tensor, "samples tokens vocabulary"]:
    """The logits at the kept positions; most models can leave the others out, which a large vocabulary pays for."""
    with torch.inference_mode():
        if "logits_to_keep" in inspect.signature(model.forward).parameters:
            chosen = torch.tensor(kept, device=ids.device)
            logits: Tensor = model(input_ids=ids, use_cache=False, logits_to_keep=chosen).logits
        else:
            logits = model(input_ids=ids, use_cache=False).logits[:, kept]
    return logits


def _distinct(inputs: Sequence[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The inputs that begin no other one, and for every input the number of the one that it begins."""
    rows: list[tuple[int, ...]] = []
    row_of = [0] * len(inputs)
    for index in sorted(range(len(inputs)), key=lambda i: -len(inputs[i])):
        tokens = inputs[index]
        home = next((number for number, row in enumerate(rows) if row[: len(tokens)] == tokens), len(rows))
        if home == len(rows):
            rows.append(tokens)
        row_of[index] = home
    return rows, row_of


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids with the tokenizer's own special tokens, but no second BOS where the text brings its own."""
    first = tokenizer.bos_token or tokenizer.eos_token
    special = not (first and text.startswith(first))
    # verbose=False: too long a text is cut and counted here, the tokenizer need not warn of it.
    ids: list[int] = tokenizer(text, verbose=False, **({} if special else {"add_special_tokens": False}))["input_ids"]
    return ids
