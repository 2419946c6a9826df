"""Detects normalisation layers by their behaviour: scaling the input does not change the output."""

import torch
from torch import Tensor, nn


def is_norm(module: nn.Module) -> bool:
    """Return whether a module without children is a normalisation layer, for a weight of any shape.

    The module is called with an input of the weight's shape. If the weight is zero or on the meta device, the class
    name decides.
    """
    own = list(module.parameters(recurse=False))
    if any(True for _ in module.children()) or not own:
        return False
    weight = max(own, key=lambda tensor: tensor.dim())
    if weight.is_meta or not bool(weight.any()):
        return "norm" in type(module).__name__.lower()
    inputs = torch.randn(2, *weight.shape, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    try:
        with torch.no_grad():
            once, fourfold = module(inputs), module(4 * inputs)
    except Exception:  # not a norm, since it needs other arguments; any type may be raised
        return False
    if not isinstance(once, Tensor) or once.shape != inputs.shape:
        return False
    return bool((once - fourfold).norm() <= 0.05 * once.norm()) and bool(once.any())
