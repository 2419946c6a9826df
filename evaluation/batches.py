"""Batch sizes for evaluation, chosen by the free memory and halved when memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from prunescope.lm.errors import OutOfMemory

TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 16384}
"""Maximum tokens of a batch by device type; larger batches are not faster."""

USABLE = 0.8
"""Share of a GPU's free memory that is used, because the estimate ignores attention scores and fragmentation."""

CPU_BYTES = 2 << 30
"""Maximum memory of a batch on a CPU, as estimated by `token_bytes`."""

CPU_MULTIPLICATIONS = 2e12
"""Maximum multiplications in one batch on a CPU. They take a few seconds; progress is reported and cancellation takes
effect only between batches."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class BatchSize:
    """Limits of a batch: `tokens` including padding, and `rows`; a single row is always allowed."""

    tokens: int
    rows: int | None = None

    def rows_of(self, longest: int) -> int:
        """The maximum number of rows of `longest` tokens in a batch; at least 1."""
        fitting = max(1, self.tokens // longest)
        return fitting if self.rows is None else min(fitting, self.rows)

    def lower(self, rows: int, longest: int) -> None:
        """Reduce the limits to half of a batch of `rows` rows of `longest` tokens."""
        half = max(1, rows // 2)
        self.tokens = half * longest
        if self.rows is not None:
            self.rows = min(self.rows, half)


def batch_size(model: PreTrainedModel) -> BatchSize:
    """The initial batch size for a model.

    On a GPU: 16384 tokens, or fewer if they would take more than 80 % of the free memory (`token_bytes`). On a CPU:
    4096 tokens, or fewer if they would take more than 2 GiB or more than 2e12 multiplications, estimated as tokens
    times the number of the model's parameters.
    """
    device = model.device
    if device.type != "cuda":
        by_time = CPU_MULTIPLICATIONS // max(1, sum(parameter.numel() for parameter in model.parameters()))
        return BatchSize(max(1, int(min(TOKENS_AT_ONCE["cpu"], by_time, CPU_BYTES // token_bytes(model)))))
    free, _ = torch.cuda.mem_get_info(device)
    # Memory that PyTorch has reserved and does not use is also free.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return BatchSize(max(1, int(min(TOKENS_AT_ONCE["cuda"], free * USABLE // token_bytes(model)))))


def token_bytes(model: PreTrainedModel) -> int:
    """Estimate the memory in bytes that one token takes in a forward pass, without the weights.

    The estimate is the sum of the inputs and outputs of one layer's matrices in the model's dtype (mean over layers; no
    backward pass, no key-value cache) and of the logits, once in the model's dtype and twice in float32 for the
    softmax. Tasks need logits only at some tokens, so for them the estimate is an upper bound.
    """
    size = model.dtype.itemsize
    config = model.config.get_text_config(decoder=True)
    shapes = [parameter.shape for parameter in model.parameters() if parameter.dim() == 2]
    layer = sum(rows + columns for rows, columns in shapes) / max(1, config.num_hidden_layers)
    return int(layer * size + config.vocab_size * (size + 8))


def in_batches(
    items: Sequence[Item], length: Callable[[Item], int], size: BatchSize, run: Callable[[Sequence[Item]], Result]
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Call `run` on consecutive batches of `items` and yield each batch with its result.

    `length` is the number of tokens of an item; the items must be sorted by it, longest first. When a batch exceeds the
    GPU's memory, `size` is reduced to half of this batch, and the batch is run again in smaller ones. Raises
    OutOfMemory when a single item does not fit.
    """
    start = 0
    while start < len(items):
        longest = length(items[start])
        some = items[start : start + size.rows_of(longest)]
        result = _attempt(run, some)
        if result is None:
            if len(some) == 1:
                raise OutOfMemory(_single_row_message(longest))
            size.lower(len(some), longest)
            continue
        yield some, result[0]
        start += len(some)


def _attempt(run: Callable[[Sequence[Item]], Result], some: Sequence[Item]) -> tuple[Result] | None:
    """The result of `run(some)` in a tuple of one; None when the GPU's memory ran out."""
    try:
        return (run(some),)
    except torch.OutOfMemoryError:
        pass
    # Outside the except block, because the exception's traceback keeps tensors alive until the block ends.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _single_row_message(longest: int) -> str:
    return (
        f"one row of {longest} tokens is too much for the GPU's free memory: stop other programs on it, "
        f"or compute in a smaller number type (--dtype bfloat16) or on the CPU (--device cpu)"
    )
