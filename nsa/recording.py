"""Step 2 of NSA, first half: the activations of every neuron at every token, handed on as they come.

A neuron is one coordinate of the input of the MLP's down-projection. The model runs batch after batch of whole texts,
and each layer's activations leave the device at once, so memory does not grow with the number of texts.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from lm.architecture import decoder_layers, down_projection
from lm.hooks import record_inputs
from nsa.errors import NotFinite

BATCH_TOKENS = 2048

Receive = Callable[[int, int, Float[np.ndarray, "tokens neurons"]], None]


@torch.no_grad()
def record(
    model: PreTrainedModel,
    token_ids: Sequence[Sequence[int]],
    receive: Receive,
    *,
    layers: Collection[int] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run every text through the model once and call `receive(layer, start, activations)` for each layer and batch.

    `activations` [tokens, neurons] are signed float16 values of the tokens from `start` on, counted over all texts one
    after another. `layers` None means all. `on_batch(texts done, texts)` may raise Cancelled.
    Raises NotFinite, naming layer and neuron, for a value that is NaN or beyond float16.
    """
    found = decoder_layers(model)
    wanted = range(len(found)) if layers is None else sorted(layers)
    modules = {layer: down_projection(found[layer]) for layer in wanted}
    start = done = 0
    for batch in _batches(token_ids, batch_tokens):
        lengths = [len(ids) for ids in batch]
        # Texts are filled up at their right end with their own last token: no causal model looks back from there, so no
        # mask is needed, and what the filling yields is cut off.
        padded = [[*ids, *[ids[-1]] * (max(lengths) - len(ids))] for ids in batch]
        inputs = torch.tensor(padded, device=model.device)

        def take(layer: int, values: Tensor, start: int = start, lengths: Sequence[int] = lengths) -> None:
            rows = values.reshape(len(lengths), max(lengths), -1)
            kept = torch.cat([row[:length] for row, length in zip(rows, lengths, strict=True)])
            receive(layer, start, _half(kept, layer).cpu().numpy())

        with record_inputs(modules, take):
            model.base_model(input_ids=inputs, use_cache=False)
        start, done = start + sum(lengths), done + len(batch)
        on_batch(done, len(token_ids))


def _batches(token_ids: Sequence[Sequence[int]], most: int) -> Iterator[list[Sequence[int]]]:
    """Neighbouring texts together, as many as fit `most` tokens once they are filled up to the longest."""
    batch: list[Sequence[int]] = []
    for ids in token_ids:
        if batch and (len(batch) + 1) * max(len(ids), *(len(other) for other in batch)) > most:
            yield batch
            batch = []
        batch.append(ids)
    if batch:
        yield batch


def _half(values: Float[Tensor, "tokens neurons"], layer: int) -> Float[Tensor, "tokens neurons"]:
    half = values.to(torch.float16)
    finite = torch.isfinite(half)
    if not bool(finite.all()):
        token, neuron = (int(place) for place in (~finite).nonzero()[0])
        value = float(values[token, neuron])
        limit = "" if np.isnan(value) else f", beyond float16's {np.finfo(np.float16).max:g}"
        raise NotFinite(
            f"layer {layer}, neuron {neuron}: its activation is {value:g}{limit}; this model cannot be recorded"
        )
    return half
