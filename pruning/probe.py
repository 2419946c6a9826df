"""Tests pruning's assumptions about a model's layers with two tokens, before any work begins.

Pruning runs each layer separately on the previous layer's hidden states. The result equals the model's own only if

    a layer's first argument is a hidden state [windows, tokens, width], and it returns one of the same shape;
    the next layer is called with exactly the returned hidden state;
    a layer's other arguments do not depend on the previous layer's computation.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.errors import BadInput, UnsupportedModel
from prunescope.lm.layer_calls import Call, Stop, forwards_replaced, hidden_state, in_the_form_of, split_call, stopping


def probe_layers(model: PreTrainedModel, layers: Sequence[nn.Module], ids: Int[Tensor, "samples tokens"]) -> Any:
    """Run the model on a few tokens up to its second layer and return the first layer's return value.

    Raises UnsupportedModel, naming the layer, when one of the module's three assumptions does not hold.
    """
    name = f"{type(model).__name__}: {type(layers[0]).__name__}"
    real, output = _first_two_calls(model, layers, ids)
    before = real[0][0]
    _check_shape(f"{name} is called with", before, (*ids.shape, before.shape[-1] if before.dim() else 0))
    after = hidden_state(output)
    _check_shape(f"{name} returns", after, tuple(before.shape))
    passed: list[tuple[Tensor, Call]] = []
    with _failure_unsupported(model), forwards_replaced(layers, passing_through(layers, passed, output)), stopping():
        model(input_ids=ids, use_cache=False)
    if len(passed) != len(layers):
        raise UnsupportedModel(f"{name} is one of {len(layers)} layers, but {len(passed)} are called in a pass")
    changed = next((index for index, (hidden, _) in enumerate(passed) if not _equal(hidden, before)), None)
    if changed is not None or (len(real) > 1 and not _equal(real[1][0], after)):
        raise UnsupportedModel(
            f"{name}: between layer {(changed or 1) - 1} and layer {changed or 1} the model changes the hidden state; "
            f"its layers cannot be run one after another"
        )
    if len(real) > 1 and (other := _difference(real[1][1], passed[1][1])) is not None:
        raise UnsupportedModel(
            f"{name}: {other} of layer 1 depends on what layer 0 computes; its layers cannot be run one after another"
        )
    return output


def passing_through(
    layers: Sequence[nn.Module], recorded: list[tuple[Tensor, Call]], output: Any
) -> Callable[[int], Callable[..., Any]]:
    """Return a function from a layer's index to its replacement forward. The forward appends its call to `recorded` and
    returns its input hidden state, in the structure of the return value `output`. The last layer's forward stops the
    pass instead, so that the model's head does not run."""

    def forward_of(index: int) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            hidden, call = split_call(layers[index], args, kwargs)
            recorded.append((hidden, call))
            if index + 1 == len(layers):
                raise Stop
            return in_the_form_of(output, hidden)

        return forward

    return forward_of


def _first_two_calls(
    model: PreTrainedModel, layers: Sequence[nn.Module], ids: Int[Tensor, "samples tokens"]
) -> tuple[list[tuple[Tensor, Call]], Any]:
    """Run an unchanged pass and return the calls of the first layer and, if there is one, of the second, and the first
    layer's return value."""
    calls: list[tuple[Tensor, Call]] = []
    outputs: list[Any] = []

    def note(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden, call = split_call(layer, args, kwargs)
        calls.append((hidden.clone(), call))  # cloned, because the layer may modify it
        if len(calls) == 2:
            raise Stop

    def keep(layer: nn.Module, _args: object, output: object) -> None:
        hidden_state(output, f"{type(model).__name__}: {type(layer).__name__}")
        outputs.append(output)
        if len(layers) == 1:
            raise Stop

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers[:2]]
    handles.append(layers[0].register_forward_hook(keep))
    try:
        with _failure_unsupported(model), stopping():
            model(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    if not outputs:
        raise UnsupportedModel(
            f"{type(model).__name__}: its first layer {type(layers[0]).__name__} is not called in a pass; "
            f"it cannot be pruned with calibration"
        )
    return calls, outputs[0]


@contextmanager
def _failure_unsupported(model: PreTrainedModel) -> Iterator[None]:
    """Convert any exception of the model in the block to UnsupportedModel, except BadInput, Stop and out-of-memory
    errors."""
    try:
        yield
    except (BadInput, Stop, torch.OutOfMemoryError):
        raise
    except Exception as error:  # models raise various types for inputs they cannot read
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModel(
            f"{type(model).__name__} cannot be run on two tokens of text ({cause}): it cannot be pruned with "
            f"calibration; magnitude and random need none"
        ) from error


def _check_shape(what: str, hidden: Tensor, expected: tuple[int, ...]) -> None:
    """Raise UnsupportedModel unless the hidden state has three axes and the expected shape; `what` begins the
    message."""
    if tuple(hidden.shape) != expected or hidden.dim() != 3:
        wanted = list(expected) if len(expected) == 3 else [*expected[:2], "width"]
        raise UnsupportedModel(
            f"{what} a hidden state of shape {list(hidden.shape)} for {expected[0]} window of {expected[1]} tokens, "
            f"not [windows, tokens, width] ({', '.join(map(str, wanted))}): this architecture cannot be handled with "
            f"calibration; magnitude and random need none"
        )


def _difference(one: Call, other: Call) -> str | None:
    """Return the name of the first argument in which two calls differ; None if they are equal."""
    if len(one.args) != len(other.args) or one.kwargs.keys() != other.kwargs.keys():
        return "the number of arguments"
    pairs = zip(one.args, other.args, strict=True)
    unlike = [f"argument {place}" for place, (a, b) in enumerate(pairs, start=2) if not _equal(a, b)]
    unlike += [f"argument {key}" for key, value in one.kwargs.items() if not _equal(value, other.kwargs[key])]
    return unlike[0] if unlike else None


def _equal(one: Any, other: Any) -> bool:
    """Return whether two arguments are equal, with NaN equal to NaN. Values other than tensors and sequences are
    compared by type."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or (one.shape == other.shape and bool(((one == other) | (one != one)).all()))
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    # Other objects (mappings, caches) are passed by reference and may be modified by layers, so contents do not matter.
    return type(one) is type(other)
