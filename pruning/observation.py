"""Gathers one layer's statistics in a forward pass of all windows with hooks on every linear's input.

The layer's output is not needed in this pass. So from the second micro-batch on it stops at the input of the linear
that is called last, which saves the down-projection's product, a fifth of a Llama layer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.hooks import record_inputs
from prunescope.lm.layer_calls import Stop
from prunescope.pruning.capture import LayerInputs
from prunescope.pruning.methods.protocol import Statistics

MIN_TOKENS, MAX_TOKENS, SHARE = 128, 512, 64


@dataclass
class Group:
    """Linears that read the same input, that input's statistics (None without calibration), and the input at a sample
    of tokens (empty if it cannot be assigned to tokens)."""

    members: list[str]
    statistics: Statistics | None
    sample: list[Float[Tensor, "_ columns"]] = field(default_factory=list)

    def sampled(self, like: Float[Tensor, "_ columns"]) -> Float[Tensor, "tokens columns"]:
        """The sampled inputs in float32, with zero rows if there are none; `like` is a member's weight, for its width
        and device."""
        return torch.cat(self.sample).float() if self.sample else like.new_empty(0, like.shape[1]).float()


def sampled_tokens(
    samples: int, tokens: int, lengths: Int[Tensor, " samples"] | None = None
) -> Int[Tensor, " sampled"]:
    """Draw the calibration tokens on which the matrices' output errors are measured, as sorted positions in [samples *
    tokens]. Padding after `lengths` is not drawn.

    One in 64, but 128 to 512 of them (or all there are), with a fixed seed. Two more products over so few tokens cost a
    few hundredths of a forward pass; a Gram matrix of every input would cost more than the pass.
    """
    real = None if lengths is None else _real_tokens(lengths, tokens)
    total = samples * tokens if real is None else len(real)
    count = min(total, max(MIN_TOKENS, min(MAX_TOKENS, total // SHARE)))
    drawn = torch.randperm(total, generator=torch.Generator().manual_seed(0))[:count]
    return drawn.sort().values if real is None else real[drawn.sort().values]


def observe(
    index: int,
    layer: nn.Module,
    modules: Mapping[str, nn.Module],
    inputs: LayerInputs,
    new_statistics: Callable[[int, torch.device], Statistics],
    sampled: Int[Tensor, " sampled"],
    last_call: dict[tuple[str, ...], int],
) -> list[Group]:
    """Run layer `index`, not pruned yet, on all windows and gather the statistics of its linears' inputs.

    `new_statistics(columns, device)` makes empty statistics, which get all tokens except padding. `last_call` is a
    cache shared by layers with the same linears: how many calls of linears a pass makes, after which it can stop;
    without an entry passes run to the end. Raises UnsupportedModel for a linear that no window reaches, or when padding
    cannot be identified in a linear's inputs.
    """
    watch = _Watch(new_statistics, sampled)
    names = tuple(modules)
    with record_inputs(modules, watch.receive):
        for windows, run in inputs.run(index, layer):
            watch.start(windows, inputs, last_call.get(names))
            try:
                run()
            except Stop:
                continue
            # Only if every linear is called exactly once: which experts of a mixture are called depends on the windows.
            if watch.calls == len(names) == len(watch.group_of):
                last_call[names] = watch.calls
    unseen = [name for name in names if name not in watch.group_of]
    if unseen:
        raise UnsupportedModel(f"layer {index}: no calibration window reaches {', '.join(unseen)}; it cannot be pruned")
    return list(watch.groups.values())


class _Watch:
    def __init__(
        self, new_statistics: Callable[[int, torch.device], Statistics], sampled: Int[Tensor, " sampled"]
    ) -> None:
        self.groups: dict[str, Group] = {}  # keyed by the member that is called first
        self.group_of: dict[str, str] = {}
        self.calls = 0
        self._new_statistics = new_statistics
        self._sampled = sampled
        self._seen: dict[str, tuple[Tensor, int]] = {}  # with its version, because a tensor may be modified in place

    def start(self, windows: slice, inputs: LayerInputs, last_call: int | None) -> None:
        samples, tokens = inputs.hidden.shape[:2]
        self._sequences = min(windows.stop, samples) - windows.start
        self._tokens = self._sequences * tokens
        self._real = None if inputs.lengths is None else _real_tokens(inputs.lengths[windows], tokens)
        begin = windows.start * tokens
        inside = (self._sampled >= begin) & (self._sampled < begin + self._tokens)
        self._chosen = self._sampled[inside] - begin
        self._last_call = last_call
        self.calls = 0
        self._seen = {}

    def receive(self, name: str, tensor: Tensor) -> None:
        self.calls += 1
        leader = next((other for other, known in self._seen.items() if _same_tensor(*known, tensor)), name)
        if self.group_of.setdefault(name, leader) == name:
            self._seen[name] = (tensor, tensor._version)
            self._add(name, tensor)
        elif self.group_of[name] != leader:
            raise UnsupportedModel(f"{name} reads the input of {self.group_of[name]} at times and another at others")
        elif name not in self.groups[leader].members:
            self.groups[leader].members.append(name)
        if self.calls == self._last_call:
            raise Stop

    def _add(self, name: str, tensor: Tensor) -> None:
        rows = tensor.reshape(-1, tensor.shape[-1])
        in_order = len(rows) == self._tokens
        if name not in self.groups:
            self.groups[name] = Group([name], self._new_statistics(rows.shape[1], tensor.device))
        group = self.groups[name]
        assert group.statistics is not None
        if self._real is None:
            group.statistics.add(tensor, self._sequences)
        elif in_order:
            group.statistics.add(rows[self._real.to(rows.device)], self._sequences)
        else:
            raise UnsupportedModel(
                f"{name} reads {len(rows)} of {self._tokens} tokens: padding cannot be told from text there; "
                f"take windows without padding (mode concat)"
            )
        if in_order:
            group.sample.append(rows[self._chosen.to(rows.device)])


def _real_tokens(lengths: Int[Tensor, " samples"], tokens: int) -> Int[Tensor, " real"]:
    """Positions in [samples * tokens] that are not padding."""
    return (torch.arange(tokens) < lengths[:, None]).flatten().nonzero().flatten()


def _same_tensor(known: Tensor, version: int, tensor: Tensor) -> bool:
    """Whether a tensor is the known one, or a view of all of it, and was not modified since."""
    return known._version == version and (
        known is tensor
        or (known.data_ptr() == tensor.data_ptr() and known.shape == tensor.shape and known.stride() == tensor.stride())
    )
