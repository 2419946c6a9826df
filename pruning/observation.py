"""Gathers one layer's statistics in a forward pass of all windows, with hooks on every linear's input.

The layer's output is not needed in this pass. So from the second micro-batch on, the pass stops at the input of the
linear that is called last. This saves the product of the down-projection, a fifth of the work of a Llama layer.
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

# Output errors are measured on one of SHARE tokens, at least MIN_TOKENS and at most MAX_TOKENS.
MIN_TOKENS, MAX_TOKENS, SHARE = 128, 512, 64


@dataclass
class Group:
    """Linears that read the same input: their names (`members`), the input's `statistics` (None without calibration),
    and `sample`, the input at the sampled tokens of each micro-batch (empty if the input's rows are not the windows'
    tokens)."""

    members: list[str]
    statistics: Statistics | None
    sample: list[Float[Tensor, "_ columns"]] = field(default_factory=list)

    def sampled(self, like: Float[Tensor, "_ columns"]) -> Float[Tensor, "tokens columns"]:
        """Return the sampled inputs in float32, with zero rows if there are none. The result's width and device are
        those of `like`, the weight of a member."""
        return torch.cat(self.sample).float() if self.sample else like.new_empty(0, like.shape[1]).float()


def sampled_tokens(
    samples: int, tokens: int, lengths: Int[Tensor, " samples"] | None = None
) -> Int[Tensor, " sampled"]:
    """Draw the calibration tokens on which the matrices' output errors are measured. Returns sorted positions in
    [samples * tokens], without padding (the tokens after `lengths`).

    One of 64 tokens is drawn, but at least 128 (or all, if there are fewer) and at most 512, with a fixed seed. Two
    more products over so few tokens take a few hundredths of the time of a forward pass; a Gram matrix of every input
    would take longer than the pass.
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
    """Run layer `index`, before it is pruned, on all windows and gather the statistics of its linears' inputs. Returns
    one group for each distinct input.

    `new_statistics(columns, device)` makes empty statistics, to which all tokens except padding are added. `sampled`:
    positions of the tokens from `sampled_tokens`. `last_call` is a cache shared by layers with the same linears: names
    of the linears -> number of calls after which a pass can stop; without an entry, passes run to the end. Raises
    UnsupportedModel for a linear that is called for no window, and when padding cannot be identified in a linear's
    inputs.
    """
    observer = _Observer(new_statistics, sampled)
    names = tuple(modules)
    with record_inputs(modules, observer.receive):
        for windows, run in inputs.run(index, layer):
            observer.start(windows, inputs, last_call.get(names))
            try:
                run()
            except Stop:
                continue
            # Only if every linear is called exactly once: which experts of a mixture are called depends on the windows.
            if observer.calls == len(names) == len(observer.group_of):
                last_call[names] = observer.calls
    unseen = [name for name in names if name not in observer.group_of]
    if unseen:
        raise UnsupportedModel(f"layer {index}: no calibration window reaches {', '.join(unseen)}; it cannot be pruned")
    return list(observer.groups.values())


class _Observer:
    """Receives the inputs of a layer's linears, groups the linears by input, and adds up the statistics of each
    group."""

    def __init__(
        self, new_statistics: Callable[[int, torch.device], Statistics], sampled: Int[Tensor, " sampled"]
    ) -> None:
        self.groups: dict[str, Group] = {}  # key: the member that is called first
        self.group_of: dict[str, str] = {}  # linear -> key of its group
        self.calls = 0
        self._new_statistics = new_statistics
        self._sampled = sampled
        # First member of a group -> its input and the tensor's version, which changes when it is modified in place.
        self._seen: dict[str, tuple[Tensor, int]] = {}

    def start(self, windows: slice, inputs: LayerInputs, last_call: int | None) -> None:
        """Begin the micro-batch `windows`; its pass stops after `last_call` calls of linears (None: runs to the
        end)."""
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
        """Process the input of linear `name`. Raises Stop after the micro-batch's last call."""
        self.calls += 1
        leader = next((other for other, known in self._seen.items() if _same_tensor(*known, tensor)), name)
        if self.group_of.setdefault(name, leader) == name:
            self._seen[name] = (tensor, tensor._version)
            self._add(name, tensor)
        elif self.group_of[name] != leader:
            raise UnsupportedModel(
                f"{name} and {self.group_of[name]} read the same input in some passes and different inputs in others"
            )
        elif name not in self.groups[leader].members:
            self.groups[leader].members.append(name)
        if self.calls == self._last_call:
            raise Stop

    def _add(self, name: str, tensor: Tensor) -> None:
        """Add an input to the statistics of its group, and its sampled tokens to the sample."""
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
                f"{name} reads {len(rows)} of {self._tokens} tokens: padding cannot be distinguished from text there; "
                f"take windows without padding (mode concat)"
            )
        if in_order:
            group.sample.append(rows[self._chosen.to(rows.device)])


def _real_tokens(lengths: Int[Tensor, " samples"], tokens: int) -> Int[Tensor, " real"]:
    """Return the positions in [samples * tokens] that are not padding."""
    return (torch.arange(tokens) < lengths[:, None]).flatten().nonzero().flatten()


def _same_tensor(known: Tensor, version: int, tensor: Tensor) -> bool:
    """Return whether `tensor` is `known` or a view of all of it, and was not modified since `known` had this
    version."""
    return known._version == version and (
        known is tensor
        or (known.data_ptr() == tensor.data_ptr() and known.shape == tensor.shape and known.stride() == tensor.stride())
    )
