"""Splits and rebuilds arguments and return values of decoder layers, for code that runs layers outside their model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prunescope.lm.errors import UnsupportedModel


@dataclass(frozen=True)
class Call:
    """All arguments of one layer call except the hidden state."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Stop(Exception):
    """Raised inside a forward pass to end it early; always caught by `stopping`."""


@contextmanager
def stopping() -> Iterator[None]:
    """Catch `Stop`: the block ends where it is raised."""
    try:
        yield
    except Stop:
        return


def split_call(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Call]:
    """Split a layer's arguments into the hidden state (the first argument or `hidden_states`) and the others.

    Raises UnsupportedModel when the hidden state is not a tensor.
    """
    if args:
        hidden, args = args[0], args[1:]
    else:
        kwargs = dict(kwargs)
        hidden = kwargs.pop("hidden_states", None)
    if not isinstance(hidden, Tensor):
        raise UnsupportedModel(
            f"{type(layer).__name__} is not called with a hidden state [windows, tokens, width] as its first argument "
            f"(but with {type(hidden).__name__}): its layers cannot be run one after another"
        )
    return hidden, Call(args, kwargs)


def hidden_state(output: Any, of: str = "a decoder layer") -> Tensor:
    """Return the hidden state of a layer's return value: the value itself if it is a tensor, else the first element of
    a tuple or list.

    Raises UnsupportedModel, with `of` as the layer's name, for any other return value.
    """
    found = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(found, Tensor):
        raise UnsupportedModel(
            f"{of} returns {_described(output)}: a hidden state [windows, tokens, width], or a tuple or list "
            f"that starts with it, is needed"
        )
    return found


def in_the_form_of(output: Any, hidden: Tensor) -> Any:
    """Return a hidden state in the structure of a layer's return value `output`; the other elements become None."""
    if isinstance(output, tuple | list):
        rest = [None] * (len(output) - 1)
        return [hidden, *rest] if isinstance(output, list) else (hidden, *rest)
    return hidden


@contextmanager
def forwards_replaced(layers: Sequence[nn.Module], forward_of: Callable[[int], Callable[..., Any]]) -> Iterator[None]:
    """Inside the block, layer i runs `forward_of(i)` instead of its own forward."""
    before = [layer.__dict__.get("forward") for layer in layers]
    try:
        for index, layer in enumerate(layers):
            layer.forward = forward_of(index)
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                layer.__dict__.pop("forward", None)
            else:
                layer.forward = forward


def _described(output: Any) -> str:
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {', '.join(type(one).__name__ for one in output) or 'nothing'}"
    return type(output).__name__
