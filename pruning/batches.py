"""The micro-batch size: how many calibration windows go through a layer at once."""

import torch
from torch import nn

from prunescope.lm.architecture import linears, weight_view

TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 16384}
"""Maximum number of tokens in a micro-batch, by device type. Larger micro-batches do not make a layer's matrix products
faster."""

USABLE = 0.8
"""Share of the free memory that a micro-batch may take. The estimate ignores attention scores and fragmentation, which
need the rest."""


def windows_at_once(layer: nn.Module, tokens: int, device: torch.device, dtype: torch.dtype, *, visits: bool) -> int:
    """Return the number of windows of `tokens` tokens for one pass through `layer`, at least one.

    This is 4096 tokens on a CPU, and on a GPU 16384 or fewer if less memory is free (`windows_fitting`). `visits`:
    whether the layer still has to be copied to the device, which takes a part of the free memory.
    """
    most = max(1, TOKENS_AT_ONCE.get(device.type, TOKENS_AT_ONCE["cpu"]) // tokens)
    if device.type != "cuda":
        return most
    free, _ = torch.cuda.mem_get_info(device)
    # Memory that PyTorch has reserved but not allocated is free too.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if visits:
        free -= sum(parameter.numel() for parameter in layer.parameters()) * dtype.itemsize
    return min(most, windows_fitting(layer, tokens, dtype, free))


def windows_fitting(layer: nn.Module, tokens: int, dtype: torch.dtype, free: int) -> int:
    """Return the number of windows whose pass through `layer` fits in `free` bytes together with the layer's
    statistics, at least one.

    The estimate of the statistics is columns^2 float32 numbers for each linear. That is the size of a Hessian, and an
    upper bound, since linears with the same input share one. The estimate for each token is the inputs and outputs of
    all linears in `dtype`, and the widest input twice in float32, for its squares or products.
    """
    shapes = [weight_view(module).shape for module in linears(layer).values()]
    statistics = sum(4 * columns**2 for _, columns in shapes)
    token = sum(rows + columns for rows, columns in shapes) * dtype.itemsize + 8 * max(columns for _, columns in shapes)
    return max(1, int((free * USABLE - statistics) // (token * tokens)))
