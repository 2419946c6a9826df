"""Checks that a model is causal: its outputs at a text's first tokens must not depend on later tokens.

The check runs when a model is loaded. Two texts of a few tokens, with the same first half and different second halves,
go through the model in separate passes of the same shape. A causal model computes the same outputs for the first half:
bit for bit or, with mixture-of-experts layers, up to rounding.

A model whose weights are memory-mapped from its files is not read completely for this check. Only the first layer of
each kind runs, the other layers return their input hidden state, and the head does not run. This is sufficient, because
layers of one kind have the same code and the same attention mask.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import context_length, decoder_layers
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.layer_calls import Stop, forwards_replaced, hidden_state, in_the_form_of, split_call, stopping

TOKENS = 8  # per text
TRIES = 3
"""Number of pairs of texts. A model is rejected as not causal only when the first half differs in all pairs: rounding
may route a token to another expert, but hardly in every pair."""

EXACT_TOLERANCE = 1e-6
EXPERTS_TOLERANCE = 0.25
"""Relative differences between outputs that are treated as rounding. On a CPU, passes of the same shape round
identically, also in half precision; on a GPU, twice the rounding error of the dtype is allowed instead of
EXACT_TOLERANCE. Experts process token batches of varying size, which round differently, and routing a token to another
expert changes its output more."""


def check_causal(model: PreTrainedModel, reference: str, *, resident: bool = True) -> None:
    """Raise UnsupportedModel, naming the model, when the model is not causal or, if `resident`, when a pass over a few
    tokens fails.

    `resident`: the weights are in memory and the whole model runs. Otherwise only a few layers run, in the dtype in
    which they are stored. A model that cannot run in this way passes the check; later stages report the error.
    """
    pairs = _text_pairs(model)
    try:
        with torch.inference_mode():
            differs = bool(pairs) and all(_differs(model, *pair, resident=resident) for pair in pairs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # models raise various types for inputs they cannot read
        if not resident:
            return
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModel(
            f"{reference}: {type(model).__name__} cannot be run on a few tokens of text ({cause}); "
            f"give a decoder-only language model"
        ) from error
    if differs:
        raise UnsupportedModel(f"{reference}: {_not_causal(model)}")


def _not_causal(model: PreTrainedModel) -> str:
    """Return the error message for a model that is not causal."""
    hint = ""
    if getattr(model.config, "is_decoder", True) is False:
        hint = " (its config says is_decoder false; set it to true where it was trained as a decoder)"
    return (
        f"{type(model).__name__} is not causal: its outputs at a text's first tokens depend on later tokens{hint}; "
        f"give a causal language model"
    )


def _text_pairs(model: PreTrainedModel) -> list[tuple[Int[Tensor, "1 tokens"], Int[Tensor, "1 tokens"]]]:
    """Return TRIES pairs of texts with the same first half and different tokens in the second; empty when the context
    or the vocabulary is too small.

    Tokens that the config names (padding, an image) are not used, because some models treat them specially.
    """
    special: set[int] = set()
    for config in (model.config, model.config.get_text_config(decoder=True)):
        for name, value in vars(config).items():
            if name.endswith(("_token_id", "_token_index", "_token_ids")):
                special.update(value if isinstance(value, list | tuple) else [value])
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    ordinary = [token for token in range(min(vocabulary, 4 * TOKENS * TRIES)) if token not in special]
    context = context_length(model)
    length = min(TOKENS, context) if context > 0 else TOKENS  # XLNet's config says -1 for an unlimited context
    if len(ordinary) < 2 or length < 2:
        return []
    half = length // 2
    pairs = []
    for number in range(TRIES):
        places = range(number * TOKENS, number * TOKENS + length)
        ids = [ordinary[place % len(ordinary)] for place in places]
        # A different token at each position: the next one in the list.
        other = [*ids[:half], *(ordinary[(place + 1) % len(ordinary)] for place in places[half:])]
        pairs.append((torch.tensor([ids], device=model.device), torch.tensor([other], device=model.device)))
    return pairs


def _differs(
    model: PreTrainedModel, one: Int[Tensor, "1 tokens"], other: Int[Tensor, "1 tokens"], *, resident: bool
) -> bool:
    """Return whether the outputs for the equal first half of two token sequences differ by more than rounding."""
    run = _logits if resident else _first_layers
    half = one.shape[1] // 2
    before, after = (run(model, ids)[..., :half, :].float() for ids in (one, other))
    tolerance = EXACT_TOLERANCE if before.device.type == "cpu" else 2 * torch.finfo(model.dtype).eps
    if any("expert" in name for name, _ in model.named_parameters()):
        tolerance = EXPERTS_TOLERANCE
    return bool((after - before).norm() > tolerance * before.norm())


def _logits(model: PreTrainedModel, ids: Int[Tensor, "1 tokens"]) -> Float[Tensor, "1 tokens vocabulary"]:
    logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits


def _first_layers(model: PreTrainedModel, ids: Int[Tensor, "1 tokens"]) -> Float[Tensor, "*streams tokens hidden"]:
    """Return the last hidden state when only the first layer of each kind runs and the others return their input."""
    layers = list(decoder_layers(model))
    kinds = getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ()
    first: dict[tuple[type, Any], int] = {}
    for index, layer in enumerate(layers):
        first.setdefault((type(layer), kinds[index] if len(kinds) == len(layers) else None), index)
    running = set(first.values())
    forwards = [layer.forward for layer in layers]
    outputs: list[Any] = []

    def forward_of(index: int) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if index in running:
                outputs.append(forwards[index](*args, **kwargs))
            else:
                outputs.append(in_the_form_of(outputs[-1], split_call(layers[index], args, kwargs)[0]))
            if index + 1 == len(layers):
                raise Stop
            return outputs[-1]

        return forward

    with forwards_replaced(layers, forward_of), stopping():
        model(input_ids=ids, use_cache=False)
    return hidden_state(outputs[-1])
