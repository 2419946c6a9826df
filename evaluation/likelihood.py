"""Log-likelihoods of answers after a prompt, with the harness's tokenisation, for a batch of rows in one forward pass.

Follows lm-evaluation-harness 0.4.13 (`TemplateLM._encode_pair`, `HFLM._loglikelihood_tokens`): the prompt, and the
prompt with its continuation, are tokenised separately; the answer's tokens are the tokens of the second after as many
tokens as the first has. A prompt that is too long is cut on the left. The softmax is always in float32, as in the
harness with `softmax_dtype="float32"`. One departure: tokens that a tokenizer appends to every text (EOS) are removed
here, while the harness includes them in the answer.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunescope.lm.answers import Encoded, answer_log_probabilities, apart
from prunescope.lm.errors import BadText
from prunescope.lm.passages import Passage, windows
from prunescope.lm.positions import length_switches
from prunescope.lm.tokenizer import added, check_characters, without_end


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
    with torch.inference_mode():
        for part in apart(some, lengths, length_switches(model), min(windows(model), default=None)):
            items, log_probabilities = answer_log_probabilities(model, part, encoded)
            values = iter(log_probabilities.tolist())
            found |= {item: math.fsum(next(values) for _ in encoded[item].answer) for item in items}
    return found


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
