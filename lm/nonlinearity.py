"""Whether a module holds an elementwise nonlinearity beside its linears: what tells an MLP from any other two matrices.

Three forms are looked for, since models have all of them: a child module (`self.act = nn.GELU()`), a function that is
an attribute (`self.activation = F.relu`, `ACT2FN[...]`), and a call inside of forward (`F.silu(self.gate(x))`). The
first two are tried on numbers, so that a class of a model's own counts and dropout, norms and a softmax do not.
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
"""What forward calls an elementwise nonlinearity, as a function, a tensor's method, or a look-up in transformers."""

CONTAINERS = (nn.ModuleList, nn.ModuleDict)
"""Parents without a forward of their own: what is done with their linears stands in the module that holds them."""

MAX_PARAMETERS = 16
"""Activations with parameters have a few (PReLU, xIELU); anything larger is tried on nothing."""


def holds_nonlinearity(module: nn.Module) -> bool:
    """Whether one of the module's own children, attributes or calls is an elementwise nonlinear function."""
    attributes = {**module._modules, **{name: value for name, value in vars(module).items() if name[:1] != "_"}}
    if any(_is_nonlinear(value) for value in attributes.values()):
        return True
    return any(names & NAMES for names in _called(type(module).forward, type(module)))


def _is_nonlinear(value: Any) -> bool:
    """Tries a module or function on a few numbers: each becomes another by itself, and not by a straight line."""
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
    except Exception:  # it takes other arguments, so it is no such function; what it raises is anybody's guess
        return False
    if not isinstance(whole, Tensor) or whole.shape != inputs.shape or not torch.allclose(whole, single, 1e-2, 1e-3):
        return False
    return not torch.allclose(whole.double().diff().diff(), torch.zeros((), dtype=torch.float64), atol=1e-2)


def _called(forward: Callable[..., Any], owner: type, depth: int = 2) -> Iterator[set[str]]:
    """The names that a forward uses, then those of the module's methods and of its file's functions that it calls."""
    function = inspect.unwrap(forward)
    if not isinstance(function, FunctionType):
        return
    names = set(_names(function.__code__))
    yield names
    if depth:
        for name in names:
            other = vars(owner).get(name, function.__globals__.get(name))
            if isinstance(other, FunctionType) and other.__module__ == function.__module__:
                yield from _called(other, owner, depth - 1)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
