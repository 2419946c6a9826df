"""Step 2 of NSA, first half: records the activations of every neuron at every token as a stream.

A neuron is one coordinate of the input of the MLP's down-projection. The model runs batches of whole texts, and each
layer's activations leave the device immediately, so memory does not grow with the number of texts. On a GPU they are
copied while later layers run, and passed to the receiver after the batch.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection
from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import not_finite
from prunescope.lm.hooks import record_inputs
from prunescope.lm.positions import length_switches, side

BATCH_TOKENS = 512
"""Enough tokens to keep the processor busy; more only takes memory (0.7 MB per token for a 7B model)."""

Receive = Callable[[int, int, Float[np.ndarray, "tokens neurons"]], None]


@torch.no_grad()
def record(
    model: PreTrainedModel,
    token_ids: Sequence[Sequence[int]],
    receive: Receive,
    *,
    layers: Collection[int] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    indices: Sequence[int] | None = None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run every text through the model once and call `receive(layer, start, activations)` for each layer and text.

    `activations` [tokens, neurons] are signed float16 values; `start` is the text's first position in the concatenation
    of all texts. `layers` None means all. `on_batch(texts done, texts)` may raise Cancelled. Raises NotFinite, naming
    layer, neuron, token and text, for a value that is NaN (with the first layer that is not finite, and advice) or
    exceeds float16; `indices` are the texts' numbers in that error (default: 0, 1, ...).
    """
    found = decoder_layers(model)
    wanted = range(len(found)) if layers is None else sorted(layers)
    modules = {layer: down_projection(found[layer]) for layer in wanted}
    start = done = 0
    for batch in batches(token_ids, batch_tokens, length_switches(model)):
        lengths = [len(ids) for ids in batch]
        named = range(done, done + len(batch)) if indices is None else indices[done : done + len(batch)]
        ship = _Shipment(model.device, named, start, lengths, receive)

        def take(layer: int, values: Tensor, lengths: Sequence[int] = lengths, ship: "_Shipment" = ship) -> None:
            ship.take(layer, values.reshape(len(lengths), max(lengths), -1))

        try:
            with record_inputs(modules, take):
                run(model, batch)
            ship.arrive()
        except _NotANumber as found:
            raise not_finite(str(found), model, torch.tensor(batch[found.text])) from None
        start, done = start + sum(lengths), done + len(batch)
        on_batch(done, len(token_ids))


def run(model: PreTrainedModel, batch: Sequence[Sequence[int]]) -> None:
    """Run one forward pass of the decoder, without its head.

    Texts are padded on the right with their own last token. A causal model's real tokens do not attend to it, so no
    mask is needed.
    """
    longest = max(map(len, batch))
    padded = [[*ids, *[ids[-1]] * (longest - len(ids))] for ids in batch]
    model.base_model(input_ids=torch.tensor(padded, device=model.device), use_cache=False)


def batches(
    token_ids: Sequence[Sequence[int]], most: int = BATCH_TOKENS, switches: Sequence[int] = ()
) -> Iterator[list[Sequence[int]]]:
    """Split the texts, in order, into batches of at most `most` tokens including padding. Texts on different sides of a
    length in `switches` (`lm.positions.length_switches`) are not in one batch."""
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


class _Shipment:
    """Transfers one batch's activations to `receive`; a layer is copied with all texts at once, including padding."""

    def __init__(
        self, device: torch.device, texts: Sequence[int], start: int, lengths: Sequence[int], receive: Receive
    ) -> None:
        self._texts, self._start, self._lengths, self._receive = texts, start, lengths, receive
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._waiting: list[tuple[int, Tensor]] = []

    def take(self, layer: int, values: Float[Tensor, "texts tokens neurons"]) -> None:
        """Pass a layer to `receive` or, on a GPU, start its copy to the host."""
        half = values.to(torch.float16)
        if self._copies is None:
            self._hand_on(layer, half, sound=_small(values) or _finite(half))
            return
        self._copies.wait_stream(torch.cuda.current_stream(half.device))
        with torch.cuda.stream(self._copies):
            self._waiting.append((layer, half.to("cpu", non_blocking=True)))  # into pinned memory
        half.record_stream(self._copies)

    def arrive(self) -> None:
        """Wait for pending copies and pass them to `receive`."""
        if self._copies is not None:
            self._copies.synchronize()
        for layer, half in self._waiting:
            self._hand_on(layer, half, sound=_finite(half))

    def _hand_on(self, layer: int, half: Float[Tensor, "texts tokens neurons"], *, sound: bool) -> None:
        start = self._start
        for place, (index, text, length) in enumerate(zip(self._texts, half, self._lengths, strict=True)):
            kept = text[:length]
            if not (sound or _finite(kept)):
                raise _fault(layer, place, index, kept)
            self._receive(layer, start, kept.numpy())
            start += length


def _small(values: Float[Tensor, "*tokens neurons"]) -> bool:
    """Whether all values are surely within float16's range, by the sum of their squares, which is faster than checking
    each."""
    flat = values.reshape(-1)
    return values.dtype == torch.float32 and float(flat.dot(flat)) < 60000.0**2


def _finite(half: Float[Tensor, "*tokens neurons"]) -> bool:
    """Whether all values are finite, by their float32 sum: finite half-precision numbers cannot overflow it."""
    return bool(torch.isfinite(half.sum(dtype=torch.float32)))


def _fault(layer: int, place: int, index: int, half: Float[Tensor, "tokens neurons"]) -> Exception:
    token, neuron = (int(axis) for axis in (~torch.isfinite(half)).nonzero()[0])
    where = f"layer {layer}, neuron {neuron}: its activation at token {token} of text {index} is"
    if bool(torch.isnan(half[token, neuron])):
        return _NotANumber(f"{where} NaN", place)
    return NotFinite(f"{where} beyond float16, which ends at 65504; this model cannot be recorded")
