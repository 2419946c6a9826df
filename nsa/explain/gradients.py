"""One forward and backward pass of a batch of rows, with the gradient of their margins at every place.

The graph of a batch is in memory during its backward pass. Where the graph of a single row is too large, every decoder
layer is computed again in the backward pass (`torch.utils.checkpoint`), so that only the inputs of the layers are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from prunescope.lm.answers import answer_log_probabilities
from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import advice
from prunescope.nsa.explain.layout import Layout, Part
from prunescope.nsa.explain.rows import margin_of
from prunescope.nsa.explain.running import BATCH_TOKENS, Subject
from prunescope.nsa.explain.sites import Place

MAX_GRAPH_BYTES = {"cpu": 2 << 30, "cuda": 16 << 30}
"""Maximum size of a batch's graph by device type, as estimated by `graph_bytes`."""

KEPT = 3
"""Estimated number of tensors that the graph keeps for each input and output of a layer's matrices."""


def graph_bytes(subject: Subject, *, recomputed: bool) -> int:
    """Estimate the bytes of one token's graph, activations and gradients, without the logits. `recomputed`: of the
    layers only their inputs and the graph of one layer are kept."""
    layers = decoder_layers(subject.model)
    size = subject.model.dtype.itemsize
    one = sum(sum(weight.shape) for weight in layers[0].parameters() if weight.dim() == 2) * KEPT * size
    hidden = int(weight_view(down_projection(layers[0])).shape[0]) * size
    watched = 2 * len(layers) * sum(subject.sites.widths.values()) * size
    return watched + (one + len(layers) * hidden if recomputed else one * len(layers))


def batch_tokens(subject: Subject, rows: Sequence[int]) -> tuple[int, bool]:
    """(maximum tokens of a batch with gradients, whether the layers are computed again in the backward pass). Larger
    batches than BATCH_TOKENS would hold rows of all lengths and compute their padding."""
    layout = subject.layout
    most = MAX_GRAPH_BYTES.get(subject.model.device.type, MAX_GRAPH_BYTES["cpu"])
    longest = max((sum(len(each.passage.tokens) for each in layout.placed[number]) for number in rows), default=1)
    whole = most // graph_bytes(subject, recomputed=False)
    if whole >= longest:
        return min(BATCH_TOKENS, int(whole)), False
    return max(1, min(BATCH_TOKENS, int(most // graph_bytes(subject, recomputed=True)))), True


def backward(
    subject: Subject,
    batch: Sequence[int],
    around: Callable[[Part], AbstractContextManager[dict[Place, Tensor]]],
    receive: Callable[[Part, dict[Place, Tensor]], None],
    *,
    recompute: bool = False,
) -> None:
    """Run a batch of rows inside `around(part)`, which yields a dictionary that holds a tensor for every place when the
    forward pass has run, and call `receive(part, gradients)` with the gradient of the sum of the rows' margins with
    respect to these tensors. Rows do not interact, so each row's tokens have the gradient of its own margin.

    Raises NotFinite, naming a row, when a margin is not finite.
    """
    layout = subject.layout
    parts = layout.parts(batch)
    watched: list[dict[Place, Tensor]] = []
    values: dict[int, Tensor] = {}
    with torch.enable_grad(), _recomputed(subject.model, recompute):
        for part in parts:
            with around(part) as tensors:
                items, flat = answer_log_probabilities(subject.model, part.passages, layout.encoded)
            watched.append(tensors)
            counts = [len(layout.encoded[item].answer) for item in items]
            values |= {item: each.sum() for item, each in zip(items, flat.split(counts), strict=True)}
        total = torch.stack([_margin(layout, number, values) for number in batch])
        for number, value in zip(batch, total.tolist(), strict=True):
            if value != value or value in (float("inf"), float("-inf")):
                raise NotFinite(f"row {layout.rows[number].index}: its margin is {value}; {advice(subject.model)}")
        every = [tensor for tensors in watched for tensor in tensors.values()]
        gradients = torch.autograd.grad(total.sum(), every, allow_unused=True)
    taken = iter(
        torch.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(every, gradients, strict=True)
    )
    for part, tensors in zip(parts, watched, strict=True):
        receive(part, {place: next(taken) for place in tensors})


def _margin(layout: Layout, number: int, values: dict[int, Tensor]) -> Float[Tensor, ""]:
    row, first = layout.rows[number], int(layout.first[number])
    return margin_of(row, torch.stack([values[first + choice] for choice in range(len(row.choices))]))


@contextmanager
def requiring_gradients(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block, the output of the embedding requires gradients, so that everything computed from it does. The
    weights do not."""

    def require(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output.detach().requires_grad_()

    handle = model.get_input_embeddings().register_forward_hook(require)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _recomputed(model: PreTrainedModel, recompute: bool) -> Iterator[None]:
    """Inside the block, with `recompute`, a decoder layer keeps only its inputs and runs again in the backward
    pass."""
    layers = list(decoder_layers(model)) if recompute else []
    for layer in layers:
        forward = layer.forward

        def run(*args: Any, _forward: Callable[..., Any] = forward, **kwargs: Any) -> Any:
            return checkpoint(_forward, *args, use_reentrant=False, **kwargs)

        layer.forward = run
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the method of its class again
