"""A decoder layer at work: its tensors on the device, in the type that is computed in, and back home afterwards."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from prunescope.lm.architecture import weight_view
from prunescope.pruning.methods.protocol import Decision

HALVES = (torch.float16, torch.bfloat16)


def tensors_of(module: nn.Module) -> list[Tensor]:
    """A module's parameters and buffers, each once."""
    return [*module.parameters(), *module.buffers()]


class Visit:
    """Holds tensors on `device` in `dtype` as long as the `with` block lasts; then they are where and what they were.

    Half-precision buffers come along in `dtype`; those in float32 stay so, for rotary frequencies are kept there on
    purpose. With `apart` even tensors that need no move are copied, and nothing is ever written into the ones at home:
    pages that are mapped from a checkpoint would turn into memory of our own.
    """

    def __init__(
        self, tensors: Iterable[Tensor], device: torch.device | None, dtype: torch.dtype | None, *, apart: bool = False
    ) -> None:
        self._device, self._dtype, self._apart = device, dtype, apart
        self._homes = {id(tensor): (tensor, tensor.data) for tensor in tensors}
        self._written: dict[int, bool] = {}  # whether weights that stay got new values too

    def __enter__(self) -> Self:
        for tensor, home in self._homes.values():
            parameter = isinstance(tensor, nn.Parameter)
            converted = self._dtype if home.is_floating_point() and (parameter or home.dtype in HALVES) else None
            tensor.data = home.to(self._device or home.device, converted or home.dtype, copy=self._apart and parameter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tensor, home in self._homes.values():
            tensor.data = home

    def write(self, module: nn.Module, decision: Decision) -> None:
        """Put a decision into a linear, rounded to the type its weight is stored in: what is computed from here on is
        computed with what is kept."""
        weight = weight_view(module)
        parameter = module.weight
        assert isinstance(parameter, Tensor)
        if decision.updated is not None:
            weight.copy_(decision.updated.to(self._homes[id(parameter)][1].dtype))
        if not bool(decision.keep.all()):  # where all stay, so does each -0.0 among them
            # The sum turns -0.0 into 0.0; several times faster than filling by mask.
            weight.mul_(decision.keep).add_(0.0)
        self._written[id(parameter)] = decision.updated is not None

    def settle(self) -> None:
        """Take what was written home: into the tensors there, or with `apart` in the place of them."""
        for key, updated in self._written.items():
            tensor, home = self._homes[key]
            values = tensor.data
            if (
                not updated
                and values.dtype != home.dtype
                and torch.promote_types(values.dtype, home.dtype) != values.dtype
            ):
                # Computed in a narrower type than is stored: weights that stay keep the digits they had.
                values = home.to(values.device) * (values != 0)
            if self._apart:
                self._homes[key] = (tensor, values.to(home.device, home.dtype))
            elif values.data_ptr() != home.data_ptr():
                home.copy_(values)


def forget(module: nn.Module) -> None:
    """Let a module's parameters go: shapes and types stay, as tensors without storage."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            empty = torch.empty_like(parameter, device="meta")
            setattr(part, name, nn.Parameter(empty, requires_grad=False))
