"""First-order estimate of what the removal of a word does to the label's log-probability.

    effect of token i = d log P(label | text) / d w_i     at w = 1

w_i is a factor on the attention that later tokens give to token i (on exp(score), before the softmax normalises). With
w_i = 1 the model is unchanged; with w_i = 0 no other token reads token i, which is the removal of the token except for
the positions of later tokens. A word's value is the sum over the tokens that spell it. The method takes one forward and
one backward pass, whereas occlusion takes a forward pass for every word.

Embedding times gradient, which is usual elsewhere, is no estimate of a removal: it says what a longer or shorter
embedding would do, and the norm before the first layer undoes most of that.
"""

from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import context_length
from prunescope.lm.finite import not_finite
from prunescope.lm.loading import LanguageModel
from prunescope.lm.passages import longest_branched
from prunescope.nsa.labels import asked, called, label_of, labelled
from prunescope.nsa.occlusion import label_drops
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text

_longest: "WeakKeyDictionary[PreTrainedModel, int]" = WeakKeyDictionary()


def word_gradients(lm: LanguageModel, text: Text) -> dict[str, float] | None:
    """Return each distinct word of the text -> its estimated effect, in nats.

    The label is appended to the text as in `occlusion.label_drops`, which gives the values of a word at position 0 (the
    other tokens need a first token to attend to), and of all words if the model takes no attention mask of its own or
    the text exceeds its attention window. Returns None when text, question and label exceed the context length. Raises
    BadText for a text without a label, NotFinite for gradients that are not finite.
    """
    assert lm.tokenizer is not None
    found = labelled(lm.tokenizer, text.before + text.text + asked(text), label_of(text, "gradient"))
    if len(found.tokens.ids) > context_length(lm.model):
        return None
    if len(found.tokens.ids) > _longest_masked(lm.model):
        return label_drops(lm, text)
    by_token = token_gradients(lm.model, found.tokens.ids, found.count)
    if not bool(by_token.isfinite().all()):
        place = f"{called(text)}, gradient of label {text.label!r}"
        raise not_finite(place, lm.model, torch.tensor(found.tokens.ids), lm.reference)
    spelling = Spelling(text, found.tokens)
    positions = {word: spelling.tokens_of(word).positions for word in spelling.words.distinct()}
    first = [word for word, places in positions.items() if 0 in places]
    removed = (label_drops(lm, text, first) or {}) if first else {}
    return {word: removed.get(word, float(by_token[places].sum())) for word, places in positions.items()}


def token_gradients(model: PreTrainedModel, ids: list[int], count: int) -> Float[Tensor, " tokens"]:
    """Return, for every token, the derivative of the log-probability of the last `count` tokens with respect to the
    factor on the attention that later tokens give to it."""
    size = len(ids)
    log_factors = torch.zeros(size, device=model.device, requires_grad=True)
    others = 1 - torch.eye(size, device=model.device)
    future = torch.ones(size, size, dtype=torch.bool, device=model.device).triu(1)
    with torch.enable_grad():
        mask = (others * log_factors).to(model.dtype).masked_fill(future, torch.finfo(model.dtype).min)
        rows = torch.tensor([ids], device=model.device)
        inputs = {"position_ids": torch.arange(size, device=model.device)[None], "attention_mask": mask[None, None]}
        logits = model(input_ids=rows, **inputs, use_cache=False).logits[0, -count - 1 : -1]
        log_probability = logits.float().log_softmax(-1).gather(1, rows[0, -count:, None]).sum()
        (gradient,) = torch.autograd.grad(log_probability, log_factors)
    found: Float[Tensor, " tokens"] = gradient.double().cpu()
    return found


def _longest_masked(model: PreTrainedModel) -> int:
    """The maximum length of a text for which the model honours an attention mask of its own (`longest_branched`). It is
    found out once for each model."""
    if model not in _longest:
        _longest[model] = longest_branched(model)
    return _longest[model]
