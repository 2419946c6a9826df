"""Captures the arguments of all decoder layers, and stores the hidden states that are passed from layer to layer.

A layer's arguments other than the hidden state (masks, positions) are stored and passed again unchanged, whatever they
are. They are captured by running the model up to its head, with every layer replaced by a function that returns the
hidden state unchanged. The assumptions about the hidden state are tested with two tokens first (`pruning.probe`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.layer_calls import Call, forwards_replaced, hidden_state, stopping
from prunescope.pruning.checks import NotFinite
from prunescope.pruning.probe import passing_through, probe_layers
from prunescope.pruning.visit import Visit, tensors_of


class LayerInputs:
    """The current layer's input hidden states for all windows, in host memory, and the layer's other arguments.

    `hidden` [samples, tokens, hidden] is copied to the device in micro-batches of at most `batch` windows, and
    `advance` overwrites it with the layer's output. The first `lengths[i]` tokens of window i are text (all if
    `lengths` is None); the rest is padding, to which no text token attends.
    """

    def __init__(
        self,
        hidden: Float[Tensor, "samples tokens hidden"],
        lengths: Int[Tensor, " samples"] | None,
        batch: int,
        device: torch.device,
        calls_of: Callable[[int], list[list[Call]]],
        calls: list[list[Call]],
    ) -> None:
        self.hidden = hidden
        self.lengths = lengths
        self.batch = batch
        self._device = device
        self._calls_of = calls_of
        self._calls = calls

    def split(self, batch: int) -> None:
        """Set the number of windows per micro-batch; if it changes, the layers' other arguments are captured again."""
        if batch != self.batch:
            self.batch, self._calls = batch, self._calls_of(batch)

    def run(self, index: int, layer: nn.Module) -> Iterator[tuple[slice, Callable[[], Tensor]]]:
        """Yield, for each micro-batch, its slice of the windows and a function that runs layer `index` on it and
        returns the output hidden state."""
        # Device copies of the first micro-batch's arguments, most of which the later ones share.
        shared: dict[int, Tensor] = {}
        for number, calls in enumerate(self._calls):
            windows = slice(number * self.batch, number * self.batch + self.batch)
            # Copied on the CPU too, because a layer may write into its input.
            hidden = self.hidden[windows].to(self._device, non_blocking=True, copy=True)
            yield windows, _Run(layer, hidden, _moved(calls[index], self._device, shared, share=number == 0))

    def advance(self, index: int, layer: nn.Module) -> None:
        """Run layer `index` on all windows and replace their hidden states by its output. Raises NotFinite when the
        output at a text token is NaN or infinite."""
        sums: list[Tensor] = []
        for windows, run in self.run(index, layer):
            output = run()
            sums.append(output.sum(dtype=torch.float32))
            # Asynchronous: the next reader is the same device, which executes operations in order.
            self.hidden[windows].copy_(output, non_blocking=True)
        self._check_finite(sums, f"after layer {index}")

    def _check_finite(self, sums: Sequence[Tensor], place: str) -> None:
        """Raise NotFinite when the hidden state of a text token is NaN or infinite. `sums` are the sums over each
        micro-batch: a finite sum proves that all its elements are finite. Otherwise every hidden state is checked,
        since the cause may be padding or an overflow of finite numbers."""
        if bool(torch.stack(list(sums)).isfinite().all()):
            return
        for window, hidden in enumerate(self.hidden):
            real = hidden if self.lengths is None else hidden[: int(self.lengths[window])]
            if not bool(real.isfinite().all()):
                token = int((~real.isfinite()).any(dim=-1).nonzero()[0])
                kind = "NaN" if bool(real[token].isnan().any()) else "infinity"
                raise NotFinite(f"{place}: the hidden state holds {kind}, in window {window} at token {token} first")


@dataclass(frozen=True)
class _Run:
    """Runs a layer on one micro-batch when it is called, and returns the output hidden state."""

    layer: nn.Module
    hidden: Tensor
    call: Call

    def __call__(self) -> Tensor:
        return hidden_state(self.layer(self.hidden, *self.call.args, **self.call.kwargs))


def capture(
    model: PreTrainedModel,
    layers: Sequence[nn.Module],
    windows: Int[Tensor, "samples tokens"],
    batch: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
    lengths: Int[Tensor, " samples"] | None = None,
) -> LayerInputs:
    """Run the windows through the embedding, up to the first decoder layer, and capture the arguments of all layers.

    The pass runs on the embedding's device in `dtype` (default: the model's own). The modules before the layers are
    converted only temporarily, the head not at all. Arguments that are equal for all micro-batches (masks, positions)
    are stored once; others are kept in host memory.

    Raises UnsupportedModel when the model's layers cannot be run one after another (`probe_layers`), NotFinite when an
    embedded text token is not finite.
    """
    place = cast(Tensor, model.get_input_embeddings().weight).device
    around = _outside(model, layers)
    with Visit(around, None, dtype), Visit(tensors_of(layers[0]), place, dtype):
        output = probe_layers(model, layers, windows[:1, :2].to(place))

    def pass_through(size: int, take: Callable[[int, Tensor], None]) -> list[list[Call]]:
        calls: list[list[Call]] = []
        with Visit(around, None, dtype):
            for start in range(0, len(windows), size):
                recorded: list[tuple[Tensor, Call]] = []
                with forwards_replaced(layers, passing_through(layers, recorded, output)), stopping():
                    model(input_ids=windows[start : start + size].to(place), use_cache=False)
                take(start, recorded[0][0])
                memo: dict[int, Any] = {}
                known = calls[0] if calls else [None] * len(recorded)
                kept = [_deduplicated(call, before, memo) for (_, call), before in zip(recorded, known, strict=True)]
                calls.append(kept)
        return calls

    hidden = torch.empty(0)

    def take(start: int, embedded: Tensor) -> None:
        nonlocal hidden
        if start == 0:
            shape = (len(windows), *embedded.shape[1:])
            hidden = torch.empty(shape, dtype=embedded.dtype, pin_memory=device.type == "cuda")
        hidden[start : start + len(embedded)] = embedded.to("cpu")

    calls = pass_through(batch, take)
    inputs = LayerInputs(hidden, lengths, batch, device, lambda size: pass_through(size, lambda *_: None), calls)
    inputs._check_finite([hidden.sum(dtype=torch.float32)], "before layer 0")
    return inputs


def _outside(model: PreTrainedModel, layers: Sequence[nn.Module]) -> list[Tensor]:
    """Return the tensors that a pass to the first layer may need: all outside the layers, except those of a head that
    is not tied to the embedding."""
    head = model.get_output_embeddings()
    excluded = {id(tensor) for layer in layers for tensor in tensors_of(layer)}
    excluded |= set() if head is None else {id(tensor) for tensor in tensors_of(head)}
    # A tied head shares the embedding's weight.
    excluded -= {id(tensor) for tensor in tensors_of(model.get_input_embeddings())}
    return [tensor for tensor in tensors_of(model) if id(tensor) not in excluded]


def _deduplicated(call: Call, before: Call | None, memo: dict[int, Any]) -> Call:
    """Return the call with every tensor replaced by the tensor of `before` in the same place, if both are equal, so
    that it is stored once. `before` is the first micro-batch's call of the same layer."""
    if before is None or len(before.args) != len(call.args) or before.kwargs.keys() != call.kwargs.keys():
        return call
    return Call(
        tuple(_shared_value(value, like, memo) for value, like in zip(call.args, before.args, strict=True)),
        {key: _shared_value(value, before.kwargs[key], memo) for key, value in call.kwargs.items()},
    )


def _shared_value(value: Any, like: Any, memo: dict[int, Any]) -> Any:
    """Return `like` if it is a tensor equal to the tensor `value`, else `value` copied to the CPU. Tuples are processed
    element by element, other values are returned unchanged. `memo` maps ids of tensors to (tensor, result)."""
    if isinstance(value, Tensor):
        if id(value) not in memo:
            equal = isinstance(like, Tensor) and value.dtype == like.dtype and torch.equal(value, like)
            # The memo keeps a reference to the original, so that Python cannot reuse its id for another tensor.
            memo[id(value)] = (value, like if equal else value.to("cpu"))
        return memo[id(value)][1]
    if isinstance(value, tuple) and isinstance(like, tuple) and len(value) == len(like):
        return tuple(_shared_value(one, other, memo) for one, other in zip(value, like, strict=True))
    return value


def _moved(value: Any, device: torch.device, shared: dict[int, Tensor], *, share: bool) -> Any:
    """Return the value with all tensors in it moved to the device. `shared` maps ids of tensors to their existing
    copies on the device; with `share`, new copies are added to it."""

    def moved(value: Any) -> Any:
        match value:
            case Tensor():
                there = shared.get(id(value))
                if there is None:
                    there = value.to(device)
                    if share:
                        shared[id(value)] = there
                return there
            case Call():
                return Call(moved(value.args), moved(value.kwargs))
            case tuple() if not hasattr(value, "_fields"):
                return tuple(moved(one) for one in value)
            case list():
                return [moved(one) for one in value]
            case dict():
                return {key: moved(one) for key, one in value.items()}
            case _:
                return value

    return moved(value)
