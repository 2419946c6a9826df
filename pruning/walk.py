"""Prunes a model layer by layer; all methods share these steps. One such pass over the layers is called a walk.

    choose each layer's sparsity                                                                   allocation
    capture the first layer's inputs, and every layer's other arguments                            capture
    for each decoder layer, moved to the device:                                                   visit
        statistics of the inputs of its linears; it is still dense, earlier layers are pruned      observation
        decide, write, measure and verify each matrix                                              methods
        run the pruned layer to compute the next layer's inputs (not after the last)               capture
        store the layer and free its memory, if there is a keeper                                  keeper

A method without calibration skips the steps that run a layer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.errors import BadInput
from prunescope.pruning.allocation import OWL, UNIFORM, Allocation, check_allocation, layer_patterns, outlier_ratio
from prunescope.pruning.batches import windows_at_once
from prunescope.pruning.capture import LayerInputs, capture
from prunescope.pruning.checks import NumericalError, advice, check_finite, check_fits, check_windows, placed
from prunescope.pruning.clock import Clock
from prunescope.pruning.keeper import Keeper, Plan
from prunescope.pruning.methods import build
from prunescope.pruning.methods.protocol import Calibrated, Statistics, WeightsOnly
from prunescope.pruning.modes import evaluating, full_precision
from prunescope.pruning.observation import Group, observe, sampled_tokens
from prunescope.pruning.outcome import carry_out
from prunescope.pruning.patterns import Pattern, Unstructured
from prunescope.pruning.reports import LayerReport, MatrixReport
from prunescope.pruning.statistics import InputNorms
from prunescope.pruning.visit import Visit, forget, tensors_of

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def prune(
    model: PreTrainedModel,
    method: str,
    pattern: Pattern,
    windows: Int[Tensor, "samples tokens"] | None,
    *,
    lengths: Int[Tensor, " samples"] | None = None,
    options: Mapping[str, object] = NO_OPTIONS,
    allocation: Allocation = UNIFORM,
    batch: int | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    keeper: Keeper | None = None,
    on_layer: Callable[[LayerReport], None] = lambda report: None,
    on_matrix: Callable[[MatrixReport], None] = lambda report: None,
) -> list[LayerReport]:
    """Prune all linears in the decoder layers, and return a report on each layer.

    `windows` are the calibration tokens; a method without calibration ignores them. The first `lengths[i]` tokens of
    window i are text, the others padding, which is excluded from statistics (None: all are text). `batch` windows go
    through a layer at once (default: chosen by device and free memory); apart from rounding it affects only the speed.
    `device` is where layers are processed, one at a time (default: the model's device). `dtype` is the dtype of
    computation (default: the model's own). A layer's pruned weights are rounded to the model's own dtype before they
    are used to compute the next layer's inputs.

    Without a `keeper`, the model is pruned in place. With one, the keeper stores each finished layer, whose parameters
    are then moved to the meta device, and layers that an earlier run stored are restored from it.

    `on_matrix` is called after each pruned matrix, `on_layer` after each finished layer. Both may raise Cancelled,
    which propagates; the model is then pruned up to that point.

    Raises BadInput for an unknown method or option or missing windows; BadPattern, before any change, when an n:m
    pattern does not fit a matrix or the allocation; BadData for windows that the model cannot read; UnsupportedModel
    for an unsupported architecture, before any change; NotFinite and NumericalError for numerically unusable values;
    PatternMissed when a pruned matrix does not have the pattern.
    """
    rule = build(method, options)
    check_allocation(allocation, pattern)
    layers = list(decoder_layers(model))
    check_fits(layers, pattern)
    for name, needed in ((method, isinstance(rule, Calibrated)), ("owl", isinstance(allocation, OWL))):
        if needed and windows is None:
            raise BadInput(f"{name} needs calibration windows; magnitude and random need none")
    if windows is not None:
        check_windows(model, windows, lengths)
        lengths = None if lengths is None or bool((lengths == windows.shape[1]).all()) else lengths
    device = device or next(model.parameters()).device
    walk = _Walk(
        model,
        layers,
        rule,
        pattern,
        windows,
        lengths,
        allocation,
        batch,
        device,
        dtype or model.dtype,
        keeper,
        on_matrix,
    )
    reports: list[LayerReport] = []
    with torch.no_grad(), evaluating(model), full_precision(), _advising(walk.dtype):
        for report in walk.reports():
            reports.append(report)
            on_layer(report)
    return reports


@contextmanager
def _advising(dtype: torch.dtype) -> Iterator[None]:
    """Append advice that depends on the dtype of computation to the message of a numerical error."""
    try:
        yield
    except NumericalError as error:
        raise type(error)(f"{error}{advice(error, dtype)}") from error


@dataclass
class _Walk:
    """The state of one call of `prune`; see there for the fields."""

    model: PreTrainedModel
    layers: Sequence[nn.Module]
    rule: WeightsOnly | Calibrated[Any]
    pattern: Pattern
    windows: Int[Tensor, "samples tokens"] | None
    lengths: Int[Tensor, " samples"] | None
    allocation: Allocation
    batch: int | None
    device: torch.device
    dtype: torch.dtype
    keeper: Keeper | None
    on_matrix: Callable[[MatrixReport], None]
    _sampled: Int[Tensor, " sampled"] = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    _last_call: dict[tuple[str, ...], int] = field(default_factory=dict)

    def reports(self) -> Iterator[LayerReport]:
        """Prune layer by layer and yield the reports. Layers that an earlier run stored are restored first, not pruned
        again."""
        clock = Clock(self.device)
        plan = self.keeper.plan() if self.keeper else None
        restored = self._restored() if plan else []
        with clock("statistics"):
            patterns = self._patterns(plan)
        inputs: LayerInputs | None = None
        if isinstance(self.rule, Calibrated) and len(restored) < len(self.layers):
            with clock("forward"):
                inputs = self._capture(plan)
        if self.keeper and not restored:
            self.keeper.begin(Plan(inputs.batch if inputs else None, _sparsities(patterns, self.pattern)))
        if inputs is not None:
            samples, tokens = inputs.hidden.shape[:2]
            self._sampled = sampled_tokens(samples, tokens, self.lengths)
        for index, layer in enumerate(self.layers):
            if index < len(restored):
                report = restored[index]
                if inputs is not None:
                    with clock("forward"), self._visit(layer):
                        inputs.split(report.batch or inputs.batch)
                        inputs.advance(index, layer)
            else:
                report = self._pruned(index, layer, patterns[index], inputs, clock)
                clock = Clock(self.device)
            if self.keeper:
                forget(layer)
            yield report

    def _restored(self) -> list[LayerReport]:
        """Restore the layers that an earlier run stored, from the first up to a missing one, and return their
        reports."""
        assert self.keeper is not None
        found: list[LayerReport] = []
        for index, layer in enumerate(self.layers):
            report = self.keeper.restore(index, layer)
            if report is None:
                break
            found.append(replace(report, restored=True))
        return found

    def _pruned(
        self, index: int, layer: nn.Module, pattern: Pattern, inputs: LayerInputs | None, clock: Clock
    ) -> LayerReport:
        """Prune one layer, replace the hidden states in `inputs` by its output, store it if there is a keeper, and
        return its report."""
        with ExitStack() as stack:
            with clock("load"):
                visit = stack.enter_context(self._visit(layer))
            modules = linears(layer)
            found: dict[str, MatrixReport] = {}
            for group in self._groups(index, layer, modules, inputs, clock):
                with clock("decide"):
                    for matrix in self._decide(index, group, modules, pattern, visit):
                        found[matrix.name] = matrix
                        self.on_matrix(matrix)
            if inputs is not None and index + 1 < len(self.layers):
                with clock("forward"):
                    inputs.advance(index, layer)
            with clock("save"):
                visit.settle()
        matrices = tuple(found[name] for name in modules)
        report = LayerReport(
            index, len(self.layers), clock.total, dict(clock.seconds), matrices, batch=inputs.batch if inputs else None
        )
        if self.keeper:
            with clock("save"):
                self.keeper.keep(index, layer, report)
        return replace(report, seconds=clock.total, stages=dict(clock.seconds))

    def _groups(
        self, index: int, layer: nn.Module, modules: Mapping[str, nn.Module], inputs: LayerInputs | None, clock: Clock
    ) -> list[Group]:
        """Return the groups of linears that are decided together: those with the same input or, without calibration,
        one group for each linear."""
        if inputs is None:
            return [Group([name], None) for name in modules]
        assert isinstance(self.rule, Calibrated)
        with clock("statistics"):
            return self._observed(index, layer, modules, inputs, self.rule.statistics)

    def _observed(
        self,
        index: int,
        layer: nn.Module,
        modules: Mapping[str, nn.Module],
        inputs: LayerInputs,
        new_statistics: Callable[[int, torch.device], Statistics],
    ) -> list[Group]:
        """Gather a layer's statistics. When memory runs out, halve the micro-batch size for this and all later layers
        and start this layer again."""
        while True:
            try:
                return observe(index, layer, modules, inputs, new_statistics, self._sampled, self._last_call)
            except torch.OutOfMemoryError:
                if inputs.batch == 1:
                    raise
            # Outside the except block, because the exception refers to tensors until the block ends.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            inputs.split(inputs.batch // 2)

    def _decide(
        self, index: int, group: Group, modules: Mapping[str, nn.Module], pattern: Pattern, visit: Visit
    ) -> Iterator[MatrixReport]:
        """Prune the matrices of one group, and yield a report on each."""
        weights = [weight_view(modules[name]) for name in group.members]
        for name, weight in zip(group.members, weights, strict=True):
            check_finite(weight, f"layer {index} {name}")
        wide = [weight.float() for weight in weights]
        with placed(f"layer {index} {', '.join(group.members)}"):
            if isinstance(self.rule, WeightsOnly):
                decisions = [self.rule.decide(weight, pattern) for weight in wide]
            else:
                decisions = self.rule.decide(wide, group.statistics, pattern)
        sample = None if group.statistics is None else group.sampled(weights[0])
        for name, decision in zip(group.members, decisions, strict=True):
            yield carry_out(visit, index, name, modules[name], decision, pattern, sample)

    def _patterns(self, plan: Plan | None) -> list[Pattern]:
        """Return each layer's pattern: from the plan of a resumed run, else from the allocation. OWL runs a pass over
        the dense model."""
        if plan is not None and plan.sparsities is not None:
            return [Unstructured(sparsity) for sparsity in plan.sparsities]
        sizes = [sum(weight_view(module).numel() for module in linears(layer).values()) for layer in self.layers]
        ratios = list(self._outlier_ratios(self.allocation.outlier)) if isinstance(self.allocation, OWL) else []
        return layer_patterns(self.allocation, self.pattern, ratios, sizes)

    def _outlier_ratios(self, outlier: float) -> Iterator[float]:
        """Run the dense model layer by layer and yield each layer's outlier ratio."""
        inputs = self._capture(None)
        for index, layer in enumerate(self.layers):
            with self._visit(layer):
                modules = linears(layer)
                groups = self._observed(index, layer, modules, inputs, InputNorms)
                norms = [
                    (name, norm)
                    for group in groups
                    for norm in [
                        _norms(cast(InputNorms, group.statistics), f"layer {index} {', '.join(group.members)}")
                    ]
                    for name in group.members
                ]
                yield outlier_ratio(
                    [weight_view(modules[name]) for name, _ in norms], [norm for _, norm in norms], outlier
                )
                if index + 1 < len(self.layers):
                    inputs.advance(index, layer)
        self.batch = inputs.batch

    def _capture(self, plan: Plan | None) -> LayerInputs:
        """Capture the layers' arguments, in micro-batches of the size in the plan, else the requested size, else the
        size that fits."""
        assert self.windows is not None
        visits = next(self.layers[-1].parameters()).device.type != self.device.type
        batch = (
            (plan and plan.batch)
            or self.batch
            or windows_at_once(self.layers[-1], self.windows.shape[1], self.device, self.dtype, visits=visits)
        )
        return capture(self.model, self.layers, self.windows, batch, self.device, self.dtype, self.lengths)

    def _visit(self, layer: nn.Module) -> Visit:
        """Return a context manager that has the layer on the device in the dtype of computation."""
        return Visit(tensors_of(layer), self.device, self.dtype, apart=self.keeper is not None)


def _norms(statistics: InputNorms, place: str) -> Tensor:
    """Return the norms; `place` is the prefix of the message of an error."""
    with placed(place):
        return statistics.norms()


def _sparsities(patterns: Sequence[Pattern], asked: Pattern) -> tuple[float, ...] | None:
    """Return each layer's sparsity if any differs from the requested one, else None."""
    if all(pattern == asked for pattern in patterns):
        return None
    return tuple(pattern.sparsity for pattern in patterns if isinstance(pattern, Unstructured))
