"""How many windows go through a layer at once."""

import torch
from torch import nn

from prunescope.lm.architecture import linears, weight_view

TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 16384}
"""More tokens than these make the products of a layer no faster."""

USABLE = 0.8
"""Share of the free memory that is counted on: the estimate knows no attention scores and no fragments."""


def windows_at_once(layer: nn.Module, tokens: int, device: torch.device, dtype: torch.dtype, *, visits: bool) -> int:
    """Windows of `tokens` tokens for one pass through `layer`, at least one.

    On a CPU as many as make 4096 tokens; on a GPU 16384, or as many as the free memory has room for
    (`windows_fitting`). `visits`: the layer is still to be copied to the device.
    """
    most = max(1, TOKENS_AT_ONCE.get(device.type, TOKENS_AT_ONCE["cpu"]) // tokens)
    if device.type != "cuda":
        return most
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # ours, and not in use
    if visits:
        free -= sum(parameter.numel() for parameter in layer.parameters()) * dtype.itemsize
    return min(most, windows_fitting(layer, tokens, dtype, free))


def windows_fitting(layer: nn.Module, tokens: int, dtype: torch.dtype, free: int) -> int:
    """How many windows `free` bytes have room for beside the layer's statistics, at least one.

    Statistics: columns^2 float32 numbers for each linear, which is what a Hessian takes and more than others do;
    linears with the same input share one, so this is an upper bound. A token of a window: what each linear reads
    and writes, in `dtype`, and the widest input twice more in float32, for its squares or its product.
    """
    shapes = [weight_view(module).shape for module in linears(layer).values()]
    statistics = sum(4 * columns**2 for _, columns in shapes)
    token = sum(rows + columns for rows, columns in shapes) * dtype.itemsize + 8 * max(columns for _, columns in shapes)
    return max(1, int((free * USABLE - statistics) // (token * tokens)))
