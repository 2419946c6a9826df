"""Streams a corpus once through a model and computes the statistics of every neuron.

A neuron is one coordinate of the input of the MLP's down-projection, as in an attribution. The windows are read longest
first, so that the windows of a batch have equal lengths and padding is rare.

A token is known not to be an attention sink (`nsa/sinks.py`) only after the last layer. Where sinks are to be found, a
batch's activations are therefore kept until its pass has ended.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, neuron_count
from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import not_finite
from prunescope.lm.hooks import record_inputs
from prunescope.lm.positions import length_switches, side
from prunescope.nsa.corpus.sampling import MAX_HALF, Places, quantiles
from prunescope.nsa.corpus.statistics import NONE, Counted, Extremes, LayerStatistics
from prunescope.nsa.corpus.windows import Windows
from prunescope.nsa.recording import run
from prunescope.nsa.sinks import WindowSinks

BATCH_TOKENS = 1024
"""Maximum number of tokens in a batch, padding included, unless one window is longer."""
MAX_KEPT_BYTES = 1 << 29
"""Maximum size of a batch's activations in all layers, which are kept until the sinks are known, unless one window is
larger."""


@dataclass(frozen=True)
class Examples:
    """The extreme examples of each neuron. An empty place has the window `statistics.NONE` and the value 0.

    `values` are the activations of the model itself; `windows` and `positions` say where.
    """

    values: Float[np.ndarray, "layers examples neurons"]
    windows: Int[np.ndarray, "layers examples neurons"]
    positions: Int[np.ndarray, "layers examples neurons"]


@dataclass(frozen=True)
class ModelStatistics:
    """The statistics of every neuron of the streamed layers, in float32. `quantiles` are those of `sampling.QUANTILES`.

    `here`: the model's activations at the examples (highest, lowest) of another model, if there is one. `sinks`: which
    tokens were found to be attention sinks, and left out; position 0 of a window never.
    """

    mean: Float[np.ndarray, "layers neurons"]
    deviation: Float[np.ndarray, "layers neurons"]
    minimum: Float[np.ndarray, "layers neurons"]
    maximum: Float[np.ndarray, "layers neurons"]
    density: Float[np.ndarray, "layers neurons"]
    quantiles: Float[np.ndarray, "layers quantiles neurons"]
    highest: Examples
    lowest: Examples
    here: tuple[Float[np.ndarray, "layers examples neurons"], Float[np.ndarray, "layers examples neurons"]] | None
    sinks: Bool[np.ndarray, " tokens"]


def reading_order(windows: Windows) -> Int[np.ndarray, " windows"]:
    """The numbers of the windows in the order of reading: longest first, equal ones in their own order."""
    return np.argsort(windows.starts - windows.ends, kind="stable")


@torch.no_grad()
def stream(
    model: PreTrainedModel,
    windows: Windows,
    sample: Places,
    *,
    layers: Sequence[int],
    examples: int,
    other: tuple[Examples, Examples] | None = None,
    find_sinks: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> ModelStatistics:
    """Run every window through the model once. `sample`: the tokens from whose activations the quantiles are computed
    (`sampling.draw`, with `reading_order`). `examples`: how many are kept for each neuron and sign. `other`: another
    model's examples (highest, lowest), at which this model's activations are read too. `find_sinks`: whether attention
    sinks are found and left out of everything.

    `on_batch(windows done, windows)` is a progress callback that may raise Cancelled. Raises NotFinite, naming the
    layer and the neuron, for an activation that is NaN, infinite or beyond float16.
    """
    found, neurons, order = decoder_layers(model), neuron_count(model), reading_order(windows)
    modules = {layer: down_projection(found[layer]) for layer in layers}
    collected = _Collected(model, windows, sample, layers, examples, other)
    sinks = np.zeros(len(windows.ids), dtype=bool)
    batch_tokens = min(batch_tokens, MAX_KEPT_BYTES // (len(layers) * neurons * torch.float32.itemsize))
    starts, lengths = windows.starts[order], (windows.ends - windows.starts)[order]
    for first, last in batches(lengths, batch_tokens, length_switches(model)):
        spans = list(zip(starts[first:last].tolist(), lengths[first:last].tolist(), strict=True))
        ids = [windows.ids[start : start + length].tolist() for start, length in spans]
        counted = _counted(windows, spans)
        if find_sinks:
            kept: dict[int, Tensor] = {}
            batch_sinks = WindowSinks([length for _, length in spans])
            see = partial(_see, batch_sinks, counted.shape)
            with record_inputs(modules, kept.__setitem__), record_inputs(dict(enumerate(found[1:])), see):
                run(model, ids)
            for (start, length), row in zip(spans, batch_sinks.mask, strict=True):
                sinks[start : start + length] = row[:length]
            receive = collected.receiver(first, last, counted & ~batch_sinks.mask)
            for layer in layers:
                receive(layer, kept.pop(layer))
        else:
            with record_inputs(modules, collected.receiver(first, last, counted)):
                run(model, ids)
        if not collected.finite:
            raise _not_finite_error(model, collected.states, layers, windows, order[first:last])
        on_batch(last, len(order))
    return collected.result(sinks)


def batches(lengths: Int[np.ndarray, " windows"], most: int, switches: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of the batches of windows that are sorted by length, longest first: at most `most` tokens
    including padding, or one window. Windows on different sides of a length in `switches` are in different batches."""
    first = 0
    while first < len(lengths):
        last, longest = first + 1, int(lengths[first])
        while (
            last < len(lengths)
            and (last + 1 - first) * longest <= most
            and side(switches, int(lengths[last])) == side(switches, longest)
        ):
            last += 1
        yield first, last
        first = last


def _counted(windows: Windows, spans: Sequence[tuple[int, int]]) -> Bool[np.ndarray, "windows tokens"]:
    """Which tokens of a batch are counted; padding is not. `spans`: the windows' (first position, number of tokens)."""
    mask = np.zeros((len(spans), max(length for _, length in spans)), dtype=bool)
    for row, (start, length) in enumerate(spans):
        mask[row, :length] = windows.counted[start : start + length]
    return mask


def _see(sinks: WindowSinks, shape: tuple[int, int], _layer: int, hidden: Tensor) -> None:
    sinks.see(hidden.reshape(*shape, -1))


class _Lookup:
    """Reads one layer's activations at the examples of another model, each when its window is read."""

    def __init__(
        self, windows: Windows, order: Int[np.ndarray, " windows"], other: tuple[Examples, Examples], index: int
    ) -> None:
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        numbers = np.stack([each.windows[index] for each in other])  # [2, examples, neurons]
        positions = np.stack([each.positions[index] for each in other])
        self.values = np.zeros(numbers.shape, dtype=np.float32)
        filled = np.flatnonzero(numbers.reshape(-1) != NONE)
        rank = ranks[numbers.reshape(-1)[filled]]
        by_rank = np.argsort(rank, kind="stable")
        self._slots = filled[by_rank].astype(np.int32)
        self._places = Places(rank[by_rank].astype(np.int32), positions.reshape(-1)[self._slots])

    def read(self, values: Float[Tensor, "windows tokens neurons"], first: int, last: int) -> None:
        """Read the examples in the windows of a batch."""
        wanted = self._places.between(first, last)
        slots = self._slots[wanted]
        rows = torch.from_numpy(self._places.rank[wanted].astype(np.int64) - first)
        positions = torch.from_numpy(self._places.position[wanted].astype(np.int64))
        neurons = torch.from_numpy(slots.astype(np.int64) % values.shape[2])
        self.values.reshape(-1)[slots] = values[rows, positions, neurons].cpu().numpy()


class _Collected:
    """What is collected of every layer: running statistics, the sampled tokens, and the activations at the examples of
    another model."""

    def __init__(
        self,
        model: PreTrainedModel,
        windows: Windows,
        sample: Places,
        layers: Sequence[int],
        examples: int,
        other: tuple[Examples, Examples] | None,
    ) -> None:
        self._neurons, self._device = neuron_count(model), model.device
        self._windows, self._sample, self._layers = windows, sample, layers
        self._order = reading_order(windows)
        self._place = {layer: index for index, layer in enumerate(layers)}
        self.states = [LayerStatistics(examples, self._neurons, model.device) for _ in layers]
        self._sampled = torch.empty(len(layers), len(sample.rank), self._neurons, dtype=torch.float16)
        self._lookups = (
            None if other is None else [_Lookup(windows, self._order, other, index) for index in range(len(layers))]
        )

    @property
    def finite(self) -> bool:
        """Whether no activation so far is NaN or infinite."""
        return bool(torch.stack([state.finite for state in self.states]).all())

    def receiver(
        self, first: int, last: int, counted: Bool[np.ndarray, "windows tokens"]
    ) -> Callable[[int, Tensor], None]:
        """Return a function that takes in (layer, activations) of the batch of windows `first` to `last` in the order
        of reading."""
        places = Counted.of(counted, self._order[first:last], self._device)
        wanted = self._sample.between(first, last)
        rows = torch.from_numpy(self._sample.rank[wanted] - first), torch.from_numpy(self._sample.position[wanted])

        def receive(layer: int, inputs: Tensor) -> None:
            place = self._place[layer]
            values = inputs.reshape(last - first, -1, self._neurons).float()
            self.states[place].add(values, places)
            if len(rows[0]):
                self._sampled[place, wanted] = values[rows].half().cpu()
            if self._lookups is not None:
                self._lookups[place].read(values, first, last)

        return receive

    def result(self, sinks: Bool[np.ndarray, " tokens"]) -> ModelStatistics:
        """Return the statistics. Sampled tokens that are sinks are left out. Raises NotFinite for an activation beyond
        float16."""
        minimum, maximum = self._single(lambda state: state.minimum), self._single(lambda state: state.maximum)
        largest = np.maximum(maximum, -minimum)
        if largest.max() > MAX_HALF:
            index, neuron = np.unravel_index(int(largest.argmax()), largest.shape)
            raise NotFinite(
                f"layer {self._layers[int(index)]}, neuron {int(neuron)}: an activation of {largest.max():.6g} is "
                f"beyond float16, which holds at most {MAX_HALF:.0f}; this model cannot be recorded"
            )
        kept = torch.from_numpy(~sinks[self._sample.tokens(self._windows, self._order)])
        whole = bool(kept.all())
        lookups = self._lookups
        return ModelStatistics(
            mean=self._single(lambda state: state.mean),
            deviation=self._single(lambda state: state.deviation),
            minimum=minimum,
            maximum=maximum,
            density=self._single(lambda state: state.density),
            quantiles=np.stack([quantiles((layer if whole else layer[kept]).numpy()) for layer in self._sampled]),
            highest=self._examples(lambda state: state.highest),
            lowest=self._examples(lambda state: state.lowest),
            here=None
            if lookups is None
            else (np.stack([each.values[0] for each in lookups]), np.stack([each.values[1] for each in lookups])),
            sinks=sinks,
        )

    def _examples(self, read: Callable[[LayerStatistics], Extremes]) -> Examples:
        return Examples(
            self._stacked(lambda state: read(state).values),
            self._stacked(lambda state: read(state).windows),
            self._stacked(lambda state: read(state).positions),
        )

    def _single(self, read: Callable[[LayerStatistics], Tensor]) -> np.ndarray:
        return self._stacked(lambda state: read(state).float())

    def _stacked(self, read: Callable[[LayerStatistics], Tensor]) -> np.ndarray:
        return torch.stack([read(state).cpu() for state in self.states]).numpy()


def _not_finite_error(
    model: PreTrainedModel,
    states: Sequence[LayerStatistics],
    layers: Sequence[int],
    windows: Windows,
    numbers: Int[np.ndarray, " some"],
) -> NotFinite:
    """The error for the first layer with an activation that is not finite in the windows `numbers` of a batch; the
    windows go through the model once more, one by one, to find the first such window."""
    index = next(index for index, state in enumerate(states) if not bool(state.finite))
    layer, starts = layers[index], windows.starts
    finite: list[bool] = []
    for number in numbers:
        ids = windows.ids[starts[number] : windows.ends[number]].tolist()
        with record_inputs(
            {layer: down_projection(decoder_layers(model)[layer])},
            lambda _, inputs: finite.append(bool(inputs.isfinite().all())),
        ):
            run(model, [ids])
        if not finite[-1]:
            break
    place = f"layer {layer}, neuron {states[index].first_not_finite()}: its activation in window {number}"
    return not_finite(place, model, torch.tensor(ids))
