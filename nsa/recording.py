"""Step 2 of NSA, first half: records the activations of every neuron at every token as a stream.

A neuron is one coordinate of the input of the MLP's down-projection. The model runs batches of whole texts, and each
layer's activations leave the device immediately, so memory does not grow with the number of texts. On a GPU they are
copied to the host while later layers run, and passed to `receive` after the batch.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, up_projections
from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import not_finite
from prunescope.lm.hooks import record_inputs
from prunescope.lm.positions import length_switches, side

BATCH_TOKENS = 512
"""Maximum number of tokens in a batch. More would take more memory (0.7 MB per token for a 7B model) without saving
time."""

Receive = Callable[[int, int, Float[np.ndarray, "tokens neurons"]], None]
ReceiveLast = Callable[[int, Float[np.ndarray, "tokens width"]], None]
SeeHidden = Callable[[int, Float[Tensor, "tokens width"]], None]


@torch.no_grad()
def record(
    model: PreTrainedModel,
    token_ids: Sequence[Sequence[int]],
    receive: Receive,
    *,
    layers: Collection[int] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    indices: Sequence[int] | None = None,
    see_hidden: SeeHidden | None = None,
    receive_inputs: Receive | None = None,
    receive_last: ReceiveLast | None = None,
    attention: Sequence[nn.Module] = (),
    receive_attention: Receive | None = None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run every text through the model once and call `receive(layer, start, activations)` for each layer and text.

    `activations` [tokens, neurons] are signed float16 values. `start` is the text's first position in the concatenation
    of all texts. `layers` None means all. `see_hidden(start, hidden)`, if given, receives the input of every layer but
    the first, on the model's device, for each text. `on_batch(texts done, texts)` is a progress callback that may raise
    Cancelled. Raises NotFinite, naming layer, neuron, token and text, for a value that is NaN or exceeds float16. For
    NaN, the message also has the first layer that is not finite, and advice. `indices` are the texts' numbers in the
    message (default: 0, 1, ...).

    `receive_inputs(layer, start, inputs)` is called like `receive` with the float32 input [tokens, hidden] of each
    layer's MLP, and `receive_last(start, hidden)` with the decoder's float32 result [tokens, width], from which the
    model's head computes logits. `receive_attention` is called like `receive_inputs` with the inputs of `attention`,
    the output projection of every layer's attention (`lm.attention`).
    """
    found = decoder_layers(model)
    wanted = range(len(found)) if layers is None else sorted(layers)
    modules = {layer: down_projection(found[layer]) for layer in wanted}
    firsts = {layer: next(iter(up_projections(found[layer]).values())) for layer in wanted}
    outputs = {layer: attention[layer] for layer in wanted} if receive_attention else {}
    start = done = 0
    for batch in batches(token_ids, batch_tokens, length_switches(model)):
        lengths = [len(ids) for ids in batch]
        named = range(done, done + len(batch)) if indices is None else indices[done : done + len(batch)]
        transfer = _Transfer(model.device, named, start, lengths, receive)

        def add(layer: int, values: Tensor, lengths: Sequence[int] = lengths, transfer: "_Transfer" = transfer) -> None:
            transfer.add(layer, values.reshape(len(lengths), max(lengths), -1))

        try:
            with (
                record_inputs(modules, add),
                _inputs(firsts, start, lengths, receive_inputs),
                _inputs(outputs, start, lengths, receive_attention),
                _hidden_states(model, start, lengths, see_hidden),
            ):
                hidden = run(model, batch)
            if receive_last is not None:
                _pass_on(hidden, start, lengths, receive_last)
            transfer.finish()
        except _NotANumber as found:
            raise not_finite(str(found), model, torch.tensor(batch[found.text])) from None
        start, done = start + sum(lengths), done + len(batch)
        on_batch(done, len(token_ids))


def run(model: PreTrainedModel, batch: Sequence[Sequence[int]]) -> Float[Tensor, "texts tokens width"]:
    """Run one forward pass of the decoder, without its head, and return its result.

    Shorter texts are padded on the right by repeating their last token. In a causal model, text tokens do not attend to
    padding after them, so no mask is needed.
    """
    longest = max(map(len, batch))
    padded = [[*ids, *[ids[-1]] * (longest - len(ids))] for ids in batch]
    hidden: Tensor = model.base_model(input_ids=torch.tensor(padded, device=model.device), use_cache=False)[0]
    return hidden


def _inputs(
    modules: Mapping[int, nn.Module], start: int, lengths: Sequence[int], receive: Receive | None
) -> AbstractContextManager[None]:
    """Return a context that calls `receive(layer, start, inputs)` with the input of each layer's module, for each text
    of a batch, without its padding. `start` is the first position of the batch."""
    if receive is None:
        return nullcontext()
    return record_inputs(modules, lambda layer, values: _pass_on(values, start, lengths, partial(receive, layer)))


def _hidden_states(
    model: PreTrainedModel, start: int, lengths: Sequence[int], see: SeeHidden | None
) -> AbstractContextManager[None]:
    """Return a context that calls `see` with the input of every layer but the first, for each text of a batch, without
    its padding. `start` is the first position of the batch."""
    if see is None:
        return nullcontext()

    def received(_layer: int, hidden: Tensor) -> None:
        for first, text in _by_text(hidden, start, lengths):
            see(first, text)

    return record_inputs(dict(enumerate(decoder_layers(model)[1:])), received)


def _by_text(values: Tensor, start: int, lengths: Sequence[int]) -> Iterator[tuple[int, Float[Tensor, "tokens width"]]]:
    """Yield (first position, values [tokens, width]) of each text of a batch, without its padding. `start` is the first
    position of the batch."""
    for text, length in zip(values.reshape(len(lengths), max(lengths), -1), lengths, strict=True):
        yield start, text[:length]
        start += length


def _pass_on(values: Tensor, start: int, lengths: Sequence[int], receive: ReceiveLast) -> None:
    """Call `receive` with the values of each text of a batch, in float32 in host memory."""
    for first, text in _by_text(values, start, lengths):
        receive(first, text.float().cpu().numpy())


def batches(
    token_ids: Sequence[Sequence[int]], most: int = BATCH_TOKENS, switches: Sequence[int] = ()
) -> Iterator[list[Sequence[int]]]:
    """Split the texts, in order, into batches of at most `most` tokens including padding, or one text. Texts on
    different sides of a length in `switches` (`lm.positions.length_switches`) are not in the same batch."""
    batch: list[Sequence[int]] = []
    for ids in token_ids:
        full = batch and (len(batch) + 1) * max(len(ids), *(len(other) for other in batch)) > most
        if batch and (full or side(switches, len(ids)) != side(switches, len(batch[0]))):
            yield batch
            batch = []
        batch.append(ids)
    if batch:
        yield batch


class _NotANumber(Exception):
    """Raised for a NaN activation; `text` is the index of its text in the batch."""

    def __init__(self, said: str, text: int) -> None:
        super().__init__(said)
        self.text = text


class _Transfer:
    """Passes one batch's activations to `receive`. A layer is copied from the device with all texts at once, including
    padding."""

    def __init__(
        self, device: torch.device, texts: Sequence[int], start: int, lengths: Sequence[int], receive: Receive
    ) -> None:
        self._texts, self._start, self._lengths, self._receive = texts, start, lengths, receive
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._pending: list[tuple[int, Tensor]] = []

    def add(self, layer: int, values: Float[Tensor, "texts tokens neurons"]) -> None:
        """Pass a layer to `receive` or, on a GPU, start the copy of the layer to the host."""
        half = values.to(torch.float16)
        if self._copies is None:
            self._deliver(layer, half, checked=_small(values) or _finite(half))
            return
        self._copies.wait_stream(torch.cuda.current_stream(half.device))
        with torch.cuda.stream(self._copies):
            self._pending.append((layer, half.to("cpu", non_blocking=True)))  # into pinned memory
        half.record_stream(self._copies)

    def finish(self) -> None:
        """Wait for pending copies and pass them to `receive`."""
        if self._copies is not None:
            self._copies.synchronize()
        for layer, half in self._pending:
            self._deliver(layer, half, checked=_finite(half))

    def _deliver(self, layer: int, half: Float[Tensor, "texts tokens neurons"], *, checked: bool) -> None:
        """Call `receive` for each text, without its padding. `checked`: whether all values are known to be finite.
        Raises an error for a value that is not finite."""
        start = self._start
        for place, (index, text, length) in enumerate(zip(self._texts, half, self._lengths, strict=True)):
            kept = text[:length]
            if not (checked or _finite(kept)):
                raise _not_finite_error(layer, place, index, kept)
            self._receive(layer, start, kept.numpy())
            start += length


def _small(values: Float[Tensor, "*tokens neurons"]) -> bool:
    """Return whether all values are certainly within float16's range, by the sum of their squares, which is faster than
    a check of each value."""
    flat = values.reshape(-1)
    return values.dtype == torch.float32 and float(flat.dot(flat)) < 60000.0**2


def _finite(half: Float[Tensor, "*tokens neurons"]) -> bool:
    """Return whether all values are finite, by their float32 sum, which finite half-precision numbers cannot
    overflow."""
    return bool(torch.isfinite(half.sum(dtype=torch.float32)))


def _not_finite_error(layer: int, place: int, index: int, half: Float[Tensor, "tokens neurons"]) -> Exception:
    """Return the error for the first value that is not finite: NaN, or a number beyond float16."""
    token, neuron = (int(axis) for axis in (~torch.isfinite(half)).nonzero()[0])
    where = f"layer {layer}, neuron {neuron}: its activation at token {token} of text {index} is"
    if bool(torch.isnan(half[token, neuron])):
        return _NotANumber(f"{where} NaN", place)
    return NotFinite(f"{where} beyond float16, which holds at most 65504; this model cannot be recorded")
