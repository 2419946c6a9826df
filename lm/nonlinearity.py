"""Detects an elementwise nonlinearity in a module, which distinguishes an MLP from other pairs of matrices.

Three forms are detected: a child module (`self.act = nn.GELU()`), a function stored as an attribute (`self.activation =
F.relu`, `ACT2FN[...]`), and a call inside forward (`F.silu(self.gate(x))`). For the first two, the module or function
is called on a few numbers. So a model's custom activation class is recognised, and dropout, norms and softmax are not.
"""

import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

NAMES = {
    *("celu", "elu", "erf", "gelu", "gelu_new", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid"),
    *("mish", "prelu", "quick_gelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softplus", "softsign"),
    *("swish", "tanh", "ACT2FN"),
}
"""Names of elementwise nonlinearities in a forward's code: functions, tensor methods, or look-ups in transformers."""

CONTAINERS = (nn.ModuleList, nn.ModuleDict)
"""Modules without a forward; the module that contains them calls their children."""

MAX_PARAMETERS = 16
"""Maximum number of parameters of an activation (PReLU and xIELU have a few); larger modules are not tested."""


def holds_nonlinearity(module: nn.Module) -> bool:
    """Return whether one of the module's direct children, attributes or calls is an elementwise nonlinear function."""
    if next(nonlinearities(module), None) is not None:
        return True
    return any(names & NAMES for names in _names_used(type(module).forward, type(module)))


def nonlinearities(module: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield the module's direct children and attributes that are elementwise nonlinear functions."""
    attributes = {**module._modules, **{name: value for name, value in vars(module).items() if name[:1] != "_"}}
    for value in attributes.values():
        if _is_nonlinear(value):
            yield value


def _is_nonlinear(value: Any) -> bool:
    """Return whether a module or function is elementwise and nonlinear, tested on a few numbers."""
    if not callable(value) or isinstance(value, type | nn.Dropout | nn.Linear):
        return False
    tensors = [*value.parameters(), *value.buffers()] if isinstance(value, nn.Module) else []
    if sum(tensor.numel() for tensor in tensors) > MAX_PARAMETERS:
        return False
    if any(tensor.is_meta for tensor in tensors):
        return type(value).__module__ in ("torch.nn.modules.activation", "transformers.activations")
    like = tensors[0] if tensors else torch.empty(0)
    inputs = torch.linspace(-3, 3, 7, device=like.device, dtype=like.dtype if like.is_floating_point() else None)
    try:
        with torch.no_grad():
            whole = value(inputs)
            single = torch.cat([value(one) for one in inputs.split(1)])
    except Exception:  # not an activation, since it needs other arguments; any type may be raised
        return False
    if not isinstance(whole, Tensor) or whole.shape != inputs.shape or not torch.allclose(whole, single, 1e-2, 1e-3):
        return False
    return not torch.allclose(whole.double().diff().diff(), torch.zeros((), dtype=torch.float64), atol=1e-2)


def _names_used(forward: Callable[..., Any], owner: type, depth: int = 2) -> Iterator[set[str]]:
    """Yield the names used in a forward, then those used in the methods and functions of the same file that it
    calls."""
    function = inspect.unwrap(forward)
    if not isinstance(function, FunctionType):
        return
    names = set(_names(function.__code__))
    yield names
    if depth:
        for name in names:
            other = vars(owner).get(name, function.__globals__.get(name))
            if isinstance(other, FunctionType) and other.__module__ == function.__module__:
                yield from _names_used(other, owner, depth - 1)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names used in a code object and in the functions that it defines."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
