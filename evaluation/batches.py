"""How much goes through the model at once, chosen from the memory that is free and lowered where it was too much."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from prunescope.lm.errors import OutOfMemory

TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 16384}
"""More tokens than these make a forward pass no faster."""

USABLE = 0.8
"""Share of a GPU's free memory that is counted on: the estimate knows no attention scores and no fragments."""

CPU_BYTES = 2 << 30
"""What a batch may take of a CPU's memory, by the same estimate."""

CPU_MULTIPLICATIONS = 2e12
"""What a batch may ask of a CPU: some seconds, for progress and cancelling know nothing shorter than a batch."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class BatchSize:
    """At most so many tokens at once, padding included, and at most so many rows; one row always goes."""

    tokens: int
    rows: int | None = None

    def rows_of(self, longest: int) -> int:
        """How many rows of `longest` tokens go through the model at once, at least one."""
        fitting = max(1, self.tokens // longest)
        return fitting if self.rows is None else min(fitting, self.rows)

    def lower(self, rows: int, longest: int) -> None:
        """Half of `rows` rows of `longest` tokens, from now on."""
        half = max(1, rows // 2)
        self.tokens = half * longest
        if self.rows is not None:
            self.rows = min(self.rows, half)


def batch_size(model: PreTrainedModel) -> BatchSize:
    """The size to begin with.

    On a GPU 16384 tokens, or as many as its free memory has room for (`token_bytes`); on a CPU 4096, fewer where they
    would take more than 2 GiB or more than 2e12 multiplications, which are the model's parameters for each token.
    """
    device = model.device
    if device.type != "cuda":
        by_time = CPU_MULTIPLICATIONS // max(1, sum(parameter.numel() for parameter in model.parameters()))
        return BatchSize(max(1, int(min(TOKENS_AT_ONCE["cpu"], by_time, CPU_BYTES // token_bytes(model)))))
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # ours, and not in use
    return BatchSize(max(1, int(min(TOKENS_AT_ONCE["cuda"], free * USABLE // token_bytes(model)))))


def token_bytes(model: PreTrainedModel) -> int:
    """An estimate of what one token takes while it goes through the model, beside the weights.

    What each matrix of a layer reads and writes, in the model's type (the mean over layers; nothing is kept for a
    backward pass or a cache), and its logits once in that type and twice in float32, for their softmax. Logits that the
    model can leave out are counted, so this is an upper bound for the tasks and about right for running text.
    """
    size = model.dtype.itemsize
    config = model.config.get_text_config(decoder=True)
    shapes = [parameter.shape for parameter in model.parameters() if parameter.dim() == 2]
    layer = sum(rows + columns for rows, columns in shapes) / max(1, config.num_hidden_layers)
    return int(layer * size + config.vocab_size * (size + 8))


def in_batches(
    items: Sequence[Item], length: Callable[[Item], int], size: BatchSize, run: Callable[[Sequence[Item]], Result]
) -> Iterator[tuple[Sequence[Item], Result]]:
    """`run` over all items in their order, the longest first, a batch at a time; yields each batch with its result.

    A batch that is too much for the GPU's memory is run again with half of it, and all later ones are no larger;
    what was yielded before stays. Raises OutOfMemory when it is too much with a single item.
    """
    start = 0
    while start < len(items):
        longest = length(items[start])
        some = items[start : start + size.rows_of(longest)]
        result = _attempt(run, some)
        if result is None:
            if len(some) == 1:
                raise OutOfMemory(_hopeless(longest))
            size.lower(len(some), longest)
            continue
        yield some, result[0]
        start += len(some)


def _attempt(run: Callable[[Sequence[Item]], Result], some: Sequence[Item]) -> tuple[Result] | None:
    """The result, or None where memory did not do."""
    try:
        return (run(some),)
    except torch.OutOfMemoryError:
        pass
    # Outside of the block: what the error holds on to is free only now.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _hopeless(longest: int) -> str:
    return (
        f"one row of {longest} tokens is too much for the GPU's free memory: end what else runs there, "
        f"or compute in a smaller type (--dtype bfloat16) or on the CPU (--device cpu)"
    )
