"""Log-likelihoods of answers after a prompt, with the harness's tokenisation, for a batch of rows in one forward pass.

Follows lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair`, `HFLM._loglikelihood_tokens`): the prompt, and the
prompt with its continuation, are tokenised separately; the answer's tokens are the tokens of the second after as many
tokens as the first has. A prompt that is too long is cut on the left. The softmax is always in float32, as in the
harness with `softmax_dtype="float32"`. One departure: tokens that a tokenizer appends to every text (EOS) are removed
here, while the harness includes them in the answer.
"""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunescope.evaluation.passages import Passage, model_inputs, windows
from prunescope.lm.errors import BadText
from prunescope.lm.positions import length_switches, side
from prunescope.lm.tokenizer import added, check_characters, without_end


@dataclass(frozen=True)
class Encoded:
    """A tokenised prompt and answer. `inputs` are the tokens of prompt and answer without the last one, so the last
    len(`answer`) inputs predict the tokens of `answer`. `truncated`: whether the prompt was cut on the left."""

    inputs: tuple[int, ...]
    answer: tuple[int, ...]
    truncated: bool


def encode(tokenizer: PreTrainedTokenizerBase, prompt: str, continuation: str, length: int) -> Encoded:
    """Tokenise a prompt and its continuation, cut on the left to `length` inputs.

    An empty prompt is replaced by the tokenizer's BOS (EOS if it has no BOS), as in the harness. Raises BadText when
    the continuation has no tokens or more than `length`, or when the prompt is empty and there is neither BOS nor EOS.
    """
    return encode_all(tokenizer, [(prompt, continuation)], length)[0]


def encode_all(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], length: int) -> list[Encoded]:
    """`encode` for many (prompt, continuation) pairs, in their order; each distinct text is tokenised only once. Raises
    BadText as `encode` does."""
    ids = _ids(tokenizer, [text for pair in pairs for text in _texts(tokenizer, *pair)])
    encoded = []
    for prompt, continuation in pairs:
        context, whole = (ids[text] for text in _texts(tokenizer, prompt, continuation))
        if not prompt:
            first = _first(tokenizer, continuation)
            context, whole = [first], (whole if whole[:1] == [first] else [first, *whole])
        answer = whole[len(context) :]
        if not 0 < len(answer) <= length:
            raise BadText(
                f"answer {continuation!r} is {len(answer)} tokens after its prompt, but must be 1 to {length}"
            )
        tokens = context + answer
        cut = len(tokens) > length + 1
        encoded.append(Encoded(tuple(tokens[-(length + 1) : -1]), tuple(answer), truncated=cut))
    return encoded


def score(model: PreTrainedModel, some: Sequence[Passage], encoded: Sequence[Encoded]) -> dict[int, float]:
    """Score passages: index in `encoded` -> summed log-probability of the answer (natural logarithm; softmax in
    float32).

    This takes one forward pass, or several when some passages may not share one (`apart`), so that a score does not
    depend on the other rows in its batch.
    """
    lengths = [len(item.inputs) for item in encoded]
    found: dict[int, float] = {}
    for part in apart(some, lengths, length_switches(model), min(windows(model), default=None)):
        found |= _score(model, part, encoded)
    return found


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


def _score(model: PreTrainedModel, some: Sequence[Passage], encoded: Sequence[Encoded]) -> dict[int, float]:
    items = [item for passage in some for item, _ in passage.items]
    predicting = [
        (row, passage.place(branch, position), token)
        for row, passage in enumerate(some)
        for item, branch in passage.items
        for position, token in _predictions(encoded[item])
    ]
    kept = sorted({place for _, place, _ in predicting})
    slot = {place: number for number, place in enumerate(kept)}
    with torch.inference_mode():
        logits = _logits(model, model_inputs(model, some), kept)
        rows, slots, tokens = torch.tensor([(row, slot[p], t) for row, p, t in predicting], device=logits.device).T
        log_probabilities = logits[rows, slots].float().log_softmax(dim=-1).gather(1, tokens[:, None])
    found = iter(log_probabilities[:, 0].tolist())
    return {item: math.fsum(next(found) for _ in encoded[item].answer) for item in items}


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


_Text = tuple[str, bool]
"""(text, whether to tokenise it with special tokens)."""


def _texts(tokenizer: PreTrainedTokenizerBase, prompt: str, continuation: str) -> tuple[_Text, _Text]:
    """The two texts to tokenise for a question's choice: the prompt without trailing white space, and the prompt with
    its continuation. The tokens that only the second has are the answer's, including the prompt's trailing spaces."""
    first = tokenizer.bos_token or tokenizer.eos_token
    # No second BOS if the text contains one; an empty prompt gets its first token explicitly.
    special = bool(prompt) and not (first and prompt.startswith(first))
    return (prompt.rstrip(), special), (prompt + continuation, special)


def _first(tokenizer: PreTrainedTokenizerBase, continuation: str) -> int:
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if not isinstance(first, int):
        raise BadText(f"answer {continuation[:60]!r} has no prompt, and the tokenizer no BOS or EOS to stand before it")
    return first


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Iterable[_Text]) -> Mapping[_Text, list[int]]:
    """The token ids of all distinct texts, without tokens that the tokenizer appends to every text."""
    found: dict[_Text, list[int]] = {}
    different = dict.fromkeys(texts)
    behind = added(tokenizer).behind
    for text, _ in different:
        check_characters(text)
    for special in (True, False):
        some = [text for text in different if text[1] == special]
        if some:
            # verbose=False: no warning about a text that is too long; the caller cuts it and records that it did.
            # add_special_tokens is not set to True, because some tokenizers treat True unlike their default.
            options = {} if special else {"add_special_tokens": False}
            ids = tokenizer([text for text, _ in some], verbose=False, **options)["input_ids"]
            if special and behind:
                ids = [without_end(each, behind) for each in ids]
            found |= zip(some, ids, strict=True)
    return found
