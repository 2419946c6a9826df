"""Log-likelihoods of answers after a prompt, with the harness's tokenisation, for several rows in one pass.

Follows lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair`, `HFLM._loglikelihood_tokens`): the prompt and the whole
are tokenised separately, and the answer's tokens are those that the whole has after the prompt's; a prompt that is too
long is cut on the left. The softmax is always in float32, as in the harness with `softmax_dtype="float32"`. One
departure: tokens that a tokenizer appends to every text (EOS) are removed here, while the harness counts them as part
of the answer.
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
    """Input tokens, and the answer's tokens that the last inputs predict: `inputs` are shifted by one, so the last
    input predicts the last token of `answer`. `truncated`: whether the prompt was cut."""

    inputs: tuple[int, ...]
    answer: tuple[int, ...]
    truncated: bool


def encode(tokenizer: PreTrainedTokenizerBase, prompt: str, continuation: str, length: int) -> Encoded:
    """Tokenise a prompt and its continuation, cut on the left to `length` inputs.

    An empty prompt becomes the tokenizer's BOS (or EOS if it has none), as in the harness. Raises BadText when the
    continuation has no tokens, or has more than `length`.
    """
    return encode_all(tokenizer, [(prompt, continuation)], length)[0]


def encode_all(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], length: int) -> list[Encoded]:
    """`encode` for many (prompt, continuation) pairs; each distinct text is tokenised once. Raises BadText as
    `encode`."""
    ids = _ids(tokenizer, [form for pair in pairs for form in _forms(tokenizer, *pair)])
    encoded = []
    for prompt, continuation in pairs:
        context, whole = (ids[form] for form in _forms(tokenizer, prompt, continuation))
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
    """Score passages: item -> summed log-probability (natural logarithm, float32) of its answer.

    It takes one forward pass, or several when rows may not share one (`apart`), so that a score does not depend on the
    other rows in its batch.
    """
    lengths = [len(item.inputs) for item in encoded]
    found: dict[int, float] = {}
    for part in apart(some, lengths, length_switches(model), min(windows(model), default=None)):
        found |= _score(model, part, encoded)
    return found


def apart(
    some: Sequence[Passage], lengths: Sequence[int], switches: Sequence[int], window: int | None = None
) -> list[list[Passage]]:
    """Split passages into groups that may share a forward pass. The texts of a group are on the same side of all
    `switches` (`lm.positions.length_switches`), and texts longer than a layer's attention `window` are not together
    with branched passages, whose explicit mask has no window.

    `lengths` are those of the texts that the passages were made from. A passage whose texts are on different sides is
    split too.
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
    """The logits at the positions `kept`. Most models can skip the others, which saves much for a large vocabulary."""
    logits: Tensor
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        places = torch.tensor(kept, device=inputs["input_ids"].device)
        logits = model(**inputs, use_cache=False, logits_to_keep=places).logits
    else:
        logits = model(**inputs, use_cache=False).logits[:, kept]
    return logits


Form = tuple[str, bool]
"""A text, and whether to tokenise it with special tokens."""


def _forms(tokenizer: PreTrainedTokenizerBase, prompt: str, continuation: str) -> tuple[Form, Form]:
    """The two texts to tokenise for a pair: the prompt without trailing spaces, and prompt + continuation."""
    first = tokenizer.bos_token or tokenizer.eos_token
    # No second BOS if the text contains one; an empty prompt gets its first token explicitly.
    special = bool(prompt) and not (first and prompt.startswith(first))
    return (prompt.rstrip(), special), (prompt + continuation, special)


def _first(tokenizer: PreTrainedTokenizerBase, continuation: str) -> int:
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if not isinstance(first, int):
        raise BadText(f"answer {continuation[:60]!r} has no prompt, and the tokenizer no BOS or EOS to stand before it")
    return first


def _ids(tokenizer: PreTrainedTokenizerBase, forms: Iterable[Form]) -> Mapping[Form, list[int]]:
    """Token ids of all distinct forms."""
    found: dict[Form, list[int]] = {}
    different = dict.fromkeys(forms)
    behind = added(tokenizer).behind
    for text, _ in different:
        check_characters(text)
    for special in (True, False):
        some = [form for form in different if form[1] == special]
        if some:
            # verbose=False: too long a text is cut and counted here, the tokenizer need not warn of it. The default
            # is left alone where it is meant: some tokenizers treat it unlike add_special_tokens=True.
            options = {} if special else {"add_special_tokens": False}
            ids = tokenizer([text for text, _ in some], verbose=False, **options)["input_ids"]
            if special and behind:
                ids = [without_end(each, behind) for each in ids]
            found |= zip(some, ids, strict=True)
    return found
