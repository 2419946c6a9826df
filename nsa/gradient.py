"""Gradient times input: a word's first-order contribution to the label's log-probability.

    attribution of token i = e_i . d log P(label | text) / d e_i           e_i: the input embedding

A word's value is the sum over the tokens that spell it. The method takes one forward and one backward pass, whereas
occlusion takes a forward pass for every word.
"""

from typing import Any

import torch
from torch import Tensor, nn

from prunescope.lm.architecture import context_length
from prunescope.lm.finite import not_finite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.labels import asked, called, label_of, labelled
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text


def word_gradients(lm: LanguageModel, text: Text) -> dict[str, float] | None:
    """Return each distinct word of the text -> the sum of its tokens' attributions, in nats.

    The label is appended to the text as in `occlusion.label_drops`. Returns None when text, question and label exceed
    the context length. Raises BadText for a text without a label, NotFinite for gradients that are not finite.
    """
    assert lm.tokenizer is not None
    found = labelled(lm.tokenizer, text.before + text.text + asked(text), label_of(text, "gradient"))
    if len(found.tokens.ids) > context_length(lm.model):
        return None
    by_token = token_gradients(lm, found.tokens.ids, found.count)
    if not bool(by_token.isfinite().all()):
        place = f"{called(text)}, gradient of label {text.label!r}"
        raise not_finite(place, lm.model, torch.tensor(found.tokens.ids), lm.reference)
    spelling = Spelling(text, found.tokens)
    return {word: float(by_token[spelling.tokens_of(word).positions].sum()) for word in spelling.words.distinct()}


def token_gradients(lm: LanguageModel, ids: list[int], count: int) -> Tensor:
    """Return gradient times input embedding of every token [tokens], for the log-probability of the last `count`
    tokens."""
    model = lm.model
    embedded: list[Tensor] = []

    def take(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[0]

    handle = model.get_input_embeddings().register_forward_hook(take)
    try:
        with torch.enable_grad():
            rows = torch.tensor([ids], device=model.device)
            logits = model(input_ids=rows, use_cache=False).logits[0, -count - 1 : -1].float()
            log_probability = logits.log_softmax(-1).gather(1, rows[0, -count:, None]).sum()
            (gradient,) = torch.autograd.grad(log_probability, embedded[0])
    finally:
        handle.remove()
    return (gradient[0].double() * embedded[0][0].detach().double()).sum(-1).cpu()
