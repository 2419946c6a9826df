"""Moves a decoder layer's tensors to the device and dtype of computation for the duration of a block."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from prunescope.lm.architecture import weight_view
from prunescope.pruning.methods.protocol import Decision

HALVES = (torch.float16, torch.bfloat16)


def tensors_of(module: nn.Module) -> list[Tensor]:
    """Return a module's parameters and buffers, each once."""
    return [*module.parameters(), *module.buffers()]


class Visit:
    """A context manager that moves tensors to `device` and converts them to `dtype` (None: unchanged). At the end of
    the block each tensor gets its original storage back, or the new storage that `settle` made for it.

    Half-precision buffers are converted to `dtype`; float32 buffers stay float32, because models store rotary
    frequencies in float32 deliberately. With `apart`, parameters are copied even if they need no move, and the original
    storage is never written to: writing to memory-mapped pages of a checkpoint would turn them into private memory.
    """

    def __init__(
        self, tensors: Iterable[Tensor], device: torch.device | None, dtype: torch.dtype | None, *, apart: bool = False
    ) -> None:
        self._device, self._dtype, self._apart = device, dtype, apart
        self._originals = {id(tensor): (tensor, tensor.data) for tensor in tensors}
        self._written: dict[int, bool] = {}  # parameter id -> whether kept weights were changed too

    def __enter__(self) -> Self:
        for tensor, original in self._originals.values():
            parameter = isinstance(tensor, nn.Parameter)
            converted = (
                self._dtype if original.is_floating_point() and (parameter or original.dtype in HALVES) else None
            )
            tensor.data = original.to(
                self._device or original.device, converted or original.dtype, copy=self._apart and parameter
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tensor, original in self._originals.values():
            tensor.data = original

    def write(self, module: nn.Module, decision: Decision) -> None:
        """Apply a decision to a linear's weight. The new weights are rounded to the dtype in which they will be saved,
        so that later computations use the saved values."""
        weight = weight_view(module)
        parameter = module.weight
        assert isinstance(parameter, Tensor)
        if decision.updated is not None:
            weight.copy_(decision.updated.to(self._originals[id(parameter)][1].dtype))
        if not bool(decision.keep.all()):  # if all weights are kept, a -0.0 stays -0.0
            # Adding 0.0 turns -0.0 into 0.0. Several times faster than masked_fill_.
            weight.mul_(decision.keep).add_(0.0)
        self._written[id(parameter)] = decision.updated is not None

    def settle(self) -> None:
        """Copy the written weights to the original tensors: into their storage or, with `apart`, as new storage."""
        for key, updated in self._written.items():
            tensor, original = self._originals[key]
            values = tensor.data
            if (
                not updated
                and values.dtype != original.dtype
                and torch.promote_types(values.dtype, original.dtype) != values.dtype
            ):
                # The dtype of computation is narrower than the stored one: kept weights keep their stored values.
                values = original.to(values.device) * (values != 0)
            if self._apart:
                self._originals[key] = (tensor, values.to(original.device, original.dtype))
            elif values.data_ptr() != original.data_ptr():
                original.copy_(values)


def forget(module: nn.Module) -> None:
    """Free the memory of a module's parameters: they become meta tensors of the same shapes and dtypes."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            empty = torch.empty_like(parameter, device="meta")
            setattr(part, name, nn.Parameter(empty, requires_grad=False))
