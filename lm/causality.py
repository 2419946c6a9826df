"""Whether a model is causal: what it says of a text's first tokens does not depend on those that come after them.

It is tried when a model is loaded. Two texts of a few tokens, which begin alike and end differently, go through the
model one after the other, in passes of one shape, so that a causal model gives the same numbers for the beginning: bit
for bit or, where experts take tokens in batches of their own, but for rounding.

A model whose weights are mapped from its files is not read whole for that. Only its first layer of each kind runs, the
others hand on the hidden state that they are given, and the head does not run at all: layers of one kind share their
code and their mask, so what one of them sees, all see.
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

TOKENS = 8
TRIES = 3
"""A model counts as not causal when the beginning differs in each of so many pairs of texts: rounding may send a token
to another expert, but not in all of them."""

EXACT_TOLERANCE = 1e-6
EXPERTS_TOLERANCE = 0.25
"""Differences relative to the numbers themselves. On a CPU passes of one shape round alike, so half precision hides
nothing; a GPU is granted twice the rounding of its type. Experts take tokens in batches of changing size, which are
rounded differently, and a token that goes to another expert for it changes more."""


def check_causal(model: PreTrainedModel, reference: str, *, resident: bool = True) -> None:
    """Raise UnsupportedModel, naming the model, when it is not causal or, if resident, cannot be run on a few tokens.

    `resident`: the weights lie in memory and the whole model runs. Otherwise a few layers do, in the type they are
    stored in; a model that cannot be run like that is left to whoever runs it.
    """
    pairs = _texts(model)
    try:
        with torch.inference_mode():
            differs = bool(pairs) and all(_differs(model, *pair, resident=resident) for pair in pairs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each model fails in its own way on what it does not take
        if not resident:
            return
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModel(
            f"{reference}: {type(model).__name__} cannot be run on a few tokens of text ({cause}); "
            f"give a decoder-only language model"
        ) from error
    if differs:
        raise UnsupportedModel(f"{reference}: {_words(model)}")


def _words(model: PreTrainedModel) -> str:
    hint = ""
    if getattr(model.config, "is_decoder", True) is False:
        hint = " (its config says is_decoder false; set it to true where it was trained as a decoder)"
    return (
        f"{type(model).__name__} is not causal: what it says of a text's first tokens changes with the tokens after "
        f"them{hint}; give a causal language model"
    )


def _texts(model: PreTrainedModel) -> list[tuple[Int[Tensor, "1 tokens"], Int[Tensor, "1 tokens"]]]:
    """Pairs of texts of which the first half is the same and no later token is; none where the model reads too little.

    Tokens that the config names (padding, an image) have a meaning of their own to some models, and are not taken.
    """
    special: set[int] = set()
    for config in (model.config, model.config.get_text_config(decoder=True)):
        for name, value in vars(config).items():
            if name.endswith(("_token_id", "_token_index", "_token_ids")):
                special.update(value if isinstance(value, list | tuple) else [value])
    vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)
    ordinary = [token for token in range(min(vocabulary, 4 * TOKENS * TRIES)) if token not in special]
    context = context_length(model)
    length = min(TOKENS, context) if context > 0 else TOKENS  # XLNet says -1 for as many as one likes
    if len(ordinary) < 2 or length < 2:
        return []
    half = length // 2
    pairs = []
    for number in range(TRIES):
        places = range(number * TOKENS, number * TOKENS + length)
        ids = [ordinary[place % len(ordinary)] for place in places]
        # Another token in each place: the one after it in the list.
        other = [*ids[:half], *(ordinary[(place + 1) % len(ordinary)] for place in places[half:])]
        pairs.append((torch.tensor([ids], device=model.device), torch.tensor([other], device=model.device)))
    return pairs


def _differs(
    model: PreTrainedModel, one: Int[Tensor, "1 tokens"], other: Int[Tensor, "1 tokens"], *, resident: bool
) -> bool:
    """Whether the first halves of two texts that have them in common come out differently."""
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
    """The hidden state that the first layer of each kind, one after the other, leaves at the end of the stack."""
    layers = list(decoder_layers(model))
    kinds = getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ()
    first: dict[tuple[type, Any], int] = {}
    for index, layer in enumerate(layers):
        first.setdefault((type(layer), kinds[index] if len(kinds) == len(layers) else None), index)
    running = set(first.values())
    own = [layer.forward for layer in layers]
    outputs: list[Any] = []

    def forward_of(index: int) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if index in running:
                outputs.append(own[index](*args, **kwargs))
            else:
                outputs.append(in_the_form_of(outputs[-1], split_call(layers[index], args, kwargs)[0]))
            if index + 1 == len(layers):
                raise Stop
            return outputs[-1]

        return forward

    with forwards_replaced(layers, forward_of), stopping():
        model(input_ids=ids, use_cache=False)
    return hidden_state(outputs[-1])
