"""What the decoder layers are called with, and the hidden states on their way from layer to layer.

Nothing is assumed about a layer's arguments: whatever the model hands to each of its layers is kept and handed on.
To learn it, the model runs with layers that let the hidden state pass unchanged, and stops before its head. What is
assumed of the hidden state is tried with two tokens first (`pruning.probe`).
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
    """The current layer's input for every window, in host memory, and how to call the layer.

    `hidden` [samples, tokens, hidden] visits the device in micro-batches of at most `batch` windows, and `advance`
    writes a layer's output over its input. Of window i only the first `lengths[i]` tokens are text, or all where it is
    None; what comes after them is padding, which no token before it sees.
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
        """Go on with micro-batches of another size."""
        if batch != self.batch:
            self.batch, self._calls = batch, self._calls_of(batch)

    def run(self, index: int, layer: nn.Module) -> Iterator[tuple[slice, Callable[[], Tensor]]]:
        """For each micro-batch of layer `index`: its windows, and what runs the layer on them."""
        shared: dict[int, Tensor] = {}  # the first micro-batch's arguments, which most of the others have too
        for number, calls in enumerate(self._calls):
            windows = slice(number * self.batch, number * self.batch + self.batch)
            # A copy also on the CPU: a layer may write into its input.
            hidden = self.hidden[windows].to(self._device, non_blocking=True, copy=True)
            yield windows, _Run(layer, hidden, _moved(calls[index], self._device, shared, share=number == 0))

    def advance(self, index: int, layer: nn.Module) -> None:
        """Replace every window's hidden state by what the layer makes of it. Raises NotFinite."""
        sums: list[Tensor] = []
        for windows, run in self.run(index, layer):
            output = run()
            sums.append(output.sum(dtype=torch.float32))
            # Without waiting: whoever reads it next is the same device, whose work keeps its order.
            self.hidden[windows].copy_(output, non_blocking=True)
        self._check_finite(sums, f"after layer {index}")

    def _check_finite(self, sums: Sequence[Tensor], place: str) -> None:
        """Raise NotFinite when a hidden state of text holds NaN or infinity. `sums` over micro-batches: one number
        that is not finite makes its sum so, and the slow look decides where it is padding, or finite numbers
        overflow."""
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
    """Run the windows through the embedding, up to the first decoder layer, and note what every layer is called with.

    It runs where the embedding lies, in `dtype` (default: as the model is stored); only for this long are the modules
    before the layers converted to it, and the head never. Arguments that are equal for all micro-batches (masks,
    positions) are kept once; others wait in host memory.

    Raises UnsupportedModel for a model whose layers cannot be run one after another (`probe_layers`), NotFinite for
    embedded tokens that are no finite numbers.
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
                kept = [_kept_once(call, before, memo) for (_, call), before in zip(recorded, known, strict=True)]
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
    """What the pass to the first layer may need: all tensors outside of the layers, but for a head of its own."""
    head = model.get_output_embeddings()
    left_out = {id(tensor) for layer in layers for tensor in tensors_of(layer)}
    left_out |= set() if head is None else {id(tensor) for tensor in tensors_of(head)}
    left_out -= {id(tensor) for tensor in tensors_of(model.get_input_embeddings())}  # where the head is tied to it
    return [tensor for tensor in tensors_of(model) if id(tensor) not in left_out]


def _kept_once(call: Call, before: Call | None, memo: dict[int, Any]) -> Call:
    """The call with every tensor that equals the one of the first micro-batch replaced by that one."""
    if before is None or len(before.args) != len(call.args) or before.kwargs.keys() != call.kwargs.keys():
        return call
    return Call(
        tuple(_same(value, like, memo) for value, like in zip(call.args, before.args, strict=True)),
        {key: _same(value, before.kwargs[key], memo) for key, value in call.kwargs.items()},
    )


def _same(value: Any, like: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, Tensor):
        if id(value) not in memo:
            equal = isinstance(like, Tensor) and value.dtype == like.dtype and torch.equal(value, like)
            # The original stays in the memo, so that its id is not given to another tensor.
            memo[id(value)] = (value, like if equal else value.to("cpu"))
        return memo[id(value)][1]
    if isinstance(value, tuple) and isinstance(like, tuple) and len(value) == len(like):
        return tuple(_same(one, other, memo) for one, other in zip(value, like, strict=True))
    return value


def _moved(value: Any, device: torch.device, shared: dict[int, Tensor], *, share: bool) -> Any:
    """The same value with every tensor in it on the device. Those in `shared` are there already, by the id of what they
    are copies of; `share` adds to them."""

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
