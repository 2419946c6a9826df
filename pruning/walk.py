"""Pruning a model layer by layer: the flow that all methods share.

    capture the first layer's inputs, and what every layer is called with
    for each decoder layer:
        statistics of its linears' inputs, the layer still dense, the layers before it pruned      observation
        decide, write, measure and verify each matrix                                              methods
        run the pruned layer for the next one's inputs (not after the last)                        capture

A method that needs no calibration does only the middle step.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from lm.architecture import context_length, decoder_layers, linears, weight_view
from lm.errors import BadData, BadInput
from pruning.capture import LayerInputs, capture
from pruning.methods import build
from pruning.methods.protocol import Calibrated, Decision, WeightsOnly
from pruning.observation import Group, observe, sampled_tokens
from pruning.patterns import NofM, Pattern
from pruning.verification import verified_sparsity

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})
TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 16384}


@dataclass(frozen=True)
class MatrixReport:
    """One pruned matrix.

    sparsity: the share of zeros, counted. relative_error: ||(W' - W) X|| / ||W X|| (Frobenius) with X a fixed random
    sample of at most 512 of the calibration tokens as this linear saw them; None without calibration.
    """

    layer: int
    name: str
    rows: int
    columns: int
    sparsity: float
    relative_error: float | None


@dataclass(frozen=True)
class LayerReport:
    """One pruned decoder layer, of `layers`, counted from 0; its matrices in the layer's own order."""

    layer: int
    layers: int
    seconds: float
    matrices: tuple[MatrixReport, ...]


def prune(
    model: PreTrainedModel,
    method: str,
    pattern: Pattern,
    windows: Int[Tensor, "samples tokens"] | None,
    *,
    options: Mapping[str, object] = NO_OPTIONS,
    batch: int | None = None,
    device: torch.device | None = None,
    on_layer: Callable[[LayerReport], None] = lambda report: None,
) -> list[LayerReport]:
    """Prune all linears in the decoder layers, in place, and report on each layer.

    `windows` are the calibration tokens; a method without calibration ignores them. `batch` windows go through a layer
    at once (default: by the device's size); it changes the speed and, but for rounding, nothing else. `device` is where
    layers are worked on, one at a time; the default is where the model lies. `on_layer` hears of each finished layer
    and may raise Cancelled, which passes through; the model is then pruned up to there.

    Raises BadInput (unknown method or option, windows missing, numbers that are not finite), BadPattern (a matrix that
    n:m does not fit; nothing has been changed then), BadData (windows the model cannot read), UnsupportedModel.
    """
    rule = build(method, options)
    layers = list(decoder_layers(model))
    _check_fits(layers, pattern)
    device = device or next(model.parameters()).device
    reports: list[LayerReport] = []
    with torch.no_grad(), _evaluating(model), _full_precision():
        if isinstance(rule, WeightsOnly):
            walk = _by_weights(rule, layers, pattern, device)
        else:
            if windows is None:
                raise BadInput(f"{method} needs calibration windows; magnitude does without")
            _check_windows(model, windows)
            batch = batch or max(1, TOKENS_AT_ONCE.get(device.type, 4096) // windows.shape[1])
            walk = _by_inputs(rule, layers, pattern, capture(model, layers, windows, batch, device), device)
        for report in walk:
            reports.append(report)
            on_layer(report)
    return reports


def _by_weights(
    method: WeightsOnly, layers: Sequence[nn.Module], pattern: Pattern, device: torch.device
) -> Iterator[LayerReport]:
    for index, layer in enumerate(layers):
        started = time.perf_counter()
        with _visiting(layer, device):
            matrices = []
            for name, module in linears(layer).items():
                weight = weight_view(module)
                _check_finite(weight, f"layer {index} {name}")
                decision = method.decide(weight.float(), pattern)
                matrices.append(_apply(index, name, weight, decision, pattern, None))
        yield LayerReport(index, len(layers), time.perf_counter() - started, tuple(matrices))


def _by_inputs(
    method: Calibrated[Any], layers: Sequence[nn.Module], pattern: Pattern, inputs: LayerInputs, device: torch.device
) -> Iterator[LayerReport]:
    sampled = sampled_tokens(*inputs.hidden.shape[:2])
    last_call: dict[tuple[str, ...], int] = {}
    for index, layer in enumerate(layers):
        started = time.perf_counter()
        with _visiting(layer, device):
            modules = linears(layer)
            reports: dict[str, MatrixReport] = {}
            for group in observe(index, layer, modules, inputs, method, sampled, last_call):
                for report in _prune_group(index, group, modules, method, pattern):
                    reports[report.name] = report
            if index + 1 < len(layers):
                inputs.advance(index, layer)
        matrices = tuple(reports[name] for name in modules)
        yield LayerReport(index, len(layers), time.perf_counter() - started, matrices)


def _prune_group(
    index: int, group: Group, modules: Mapping[str, nn.Module], method: Calibrated[Any], pattern: Pattern
) -> list[MatrixReport]:
    weights = [weight_view(modules[name]) for name in group.members]
    for name, weight in zip(group.members, weights, strict=True):
        _check_finite(weight, f"layer {index} {name}")
    try:
        decisions = method.decide([weight.float() for weight in weights], group.statistics, pattern)
    except BadInput as error:
        raise type(error)(f"layer {index} {', '.join(group.members)}: {error}") from error
    sample = torch.cat(group.sample).float() if group.sample else None
    return [
        _apply(index, name, weight, decision, pattern, sample)
        for name, weight, decision in zip(group.members, weights, decisions, strict=True)
    ]


def _apply(
    index: int,
    name: str,
    weight: Float[Tensor, "rows columns"],
    decision: Decision,
    pattern: Pattern,
    sample: Float[Tensor, "tokens columns"] | None,
) -> MatrixReport:
    """Write the decision into the weight, then measure and verify what stands there now."""
    before = None if sample is None else sample @ weight.float().T
    if decision.updated is not None:
        weight.copy_(decision.updated)
    weight.mul_(decision.keep).add_(0.0)  # the sum turns -0.0 into 0.0; several times faster than filling by mask
    sparsity = verified_sparsity(weight, pattern, decision.order, f"layer {index} {name}")
    error = None if before is None or sample is None else _relative_error(before, sample @ weight.float().T)
    rows, columns = weight.shape
    return MatrixReport(index, name, rows, columns, sparsity, error)


def _relative_error(before: Float[Tensor, "tokens rows"], after: Float[Tensor, "tokens rows"]) -> float | None:
    """None where the output was zero before, so that there is nothing to be relative to."""
    size = float(torch.linalg.vector_norm(before))
    return float(torch.linalg.vector_norm(after - before)) / size if size else None


def _check_fits(layers: Sequence[nn.Module], pattern: Pattern) -> None:
    for index, layer in enumerate(layers):
        for name, module in linears(layer).items():
            if isinstance(pattern, NofM):
                pattern.check_fits(weight_view(module).shape[1], f"layer {index} {name}")


def _check_windows(model: PreTrainedModel, windows: Int[Tensor, "samples tokens"]) -> None:
    if not windows.numel():
        raise BadData(
            f"calibration windows have shape {list(windows.shape)}; [samples, tokens] is needed, neither of them 0"
        )
    context = context_length(model)
    if windows.shape[1] > context:
        raise BadData(
            f"windows of {windows.shape[1]} tokens, but the model reads at most {context}: give a smaller seqlen"
        )
    vocabulary = len(cast(Tensor, model.get_input_embeddings().weight))
    low, high = int(windows.min()), int(windows.max())
    if low < 0 or high >= vocabulary:
        raise BadData(
            f"token id {low if low < 0 else high} is not among the model's {vocabulary}: "
            f"the windows were made with another tokenizer"
        )


def _check_finite(weight: Float[Tensor, "rows columns"], place: str) -> None:
    # One NaN or infinity makes the sum so; the slow look decides where finite numbers overflow in the sum.
    if not bool(weight.float().sum().isfinite()) and not bool(weight.isfinite().all()):
        raise BadInput(f"{place}: the weights hold NaN or infinity; the checkpoint is damaged or its dtype too narrow")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout; the mode is restored."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of float32 numbers in float32, not TF32."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


@contextmanager
def _visiting(layer: nn.Module, device: torch.device) -> Iterator[None]:
    """The layer's weights on the device, and back where they came from."""
    home = next(layer.parameters()).device
    layer.to(device)
    try:
        yield
    finally:
        layer.to(home)
