"""Whether a module is a norm: what it gives does not change when its input is scaled."""

import torch
from torch import Tensor, nn


def is_norm(module: nn.Module) -> bool:
    """Whether a module without children scales its input to a norm of its own, whatever axes its weight has.

    It is tried on numbers of the weight's shape; one whose weight is zero or has no storage goes by its class's name.
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
    except Exception:  # it takes other arguments: what it raises is anybody's guess
        return False
    if not isinstance(once, Tensor) or once.shape != inputs.shape:
        return False
    return bool((once - fourfold).norm() <= 0.05 * once.norm()) and bool(once.any())
