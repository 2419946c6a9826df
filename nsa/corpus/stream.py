"""Streams a corpus once through a model and computes the statistics of every neuron.

A neuron is one coordinate of the input of the MLP's down-projection, as in an attribution. The windows are read longest
first, so that the windows of a batch have equal lengths and padding is rare.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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
from prunescope.nsa.corpus.statistics import NONE, Batch, LayerStatistics
from prunescope.nsa.corpus.windows import Windows
from prunescope.nsa.recording import run

BATCH_TOKENS = 1024
"""Maximum number of tokens in a batch, padding included, unless one window is longer."""


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

    `here`: the model's activations at the examples (highest, lowest) of another model, if there is one.
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
    batch_tokens: int = BATCH_TOKENS,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> ModelStatistics:
    """Run every window through the model once. `sample`: the tokens from whose activations the quantiles are computed
    (`sampling.draw`, with `reading_order`). `examples`: how many are kept for each neuron and sign. `other`: another
    model's examples (highest, lowest), at which this model's activations are read too.

    `on_batch(windows done, windows)` is a progress callback that may raise Cancelled. Raises NotFinite, naming the
    layer and the neuron, for an activation that is NaN, infinite or beyond float16.
    """
    found, neurons, order = decoder_layers(model), neuron_count(model), reading_order(windows)
    modules = {layer: down_projection(found[layer]) for layer in layers}
    place = {layer: index for index, layer in enumerate(layers)}
    states = [LayerStatistics(examples, neurons, model.device) for _ in layers]
    sampled = torch.empty(len(layers), len(sample.rank), neurons, dtype=torch.float16)
    lookups = None if other is None else [_Lookup(windows, order, other, index) for index in range(len(layers))]
    starts, lengths = windows.starts[order], (windows.ends - windows.starts)[order]
    for first, last in batches(lengths, batch_tokens, length_switches(model)):
        counted = _counted(windows, starts[first:last], lengths[first:last])
        numbers = torch.from_numpy(order[first:last]).to(model.device)
        mask = None if bool(counted[:, 1:].all()) else torch.from_numpy(counted).to(model.device)
        wanted = sample.between(first, last)
        rows = torch.from_numpy(sample.rank[wanted] - first), torch.from_numpy(sample.position[wanted])

        def add(
            layer: int,
            inputs: Tensor,
            first: int = first,
            last: int = last,
            mask: Tensor | None = mask,
            numbers: Tensor = numbers,
            wanted: slice = wanted,
            rows: tuple[Tensor, Tensor] = rows,
        ) -> None:
            values = inputs.reshape(last - first, -1, neurons).float()
            states[place[layer]].add(Batch(values, mask, numbers))
            if len(rows[0]):
                sampled[place[layer], wanted] = values[rows].half().cpu()
            if lookups is not None:
                lookups[place[layer]].read(values, first, last)

        with record_inputs(modules, add):
            run(
                model,
                [
                    windows.ids[start : start + length].tolist()
                    for start, length in zip(starts[first:last], lengths[first:last], strict=True)
                ],
            )
        if not bool(torch.stack([state.finite for state in states]).all()):
            raise _not_finite_error(model, states, layers, windows, order[first:last])
        on_batch(last, len(order))
    return _result(states, sampled, lookups, layers)


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


def _counted(
    windows: Windows, starts: Int[np.ndarray, " some"], lengths: Int[np.ndarray, " some"]
) -> Bool[np.ndarray, "some tokens"]:
    """Which tokens of a batch are counted; padding is not."""
    mask = np.zeros((len(starts), int(lengths.max())), dtype=bool)
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        mask[row, :length] = windows.counted[start : start + length]
    return mask


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


def _result(
    states: Sequence[LayerStatistics], sampled: Tensor, lookups: Sequence[_Lookup] | None, layers: Sequence[int]
) -> ModelStatistics:
    def stacked(read: Callable[[LayerStatistics], Tensor]) -> np.ndarray:
        return torch.stack([read(state).cpu() for state in states]).numpy()

    def single(read: Callable[[LayerStatistics], Tensor]) -> np.ndarray:
        return stacked(lambda state: read(state).float())

    minimum, maximum = single(lambda state: state.minimum), single(lambda state: state.maximum)
    largest = np.maximum(maximum, -minimum)
    if largest.max() > MAX_HALF:
        index, neuron = np.unravel_index(int(largest.argmax()), largest.shape)
        raise NotFinite(
            f"layer {layers[int(index)]}, neuron {int(neuron)}: an activation of {largest.max():.6g} is beyond "
            f"float16, which holds at most {MAX_HALF:.0f}; this model cannot be recorded"
        )
    return ModelStatistics(
        mean=single(lambda state: state.mean),
        deviation=single(lambda state: state.deviation),
        minimum=minimum,
        maximum=maximum,
        density=single(lambda state: state.density),
        quantiles=np.stack([quantiles(layer) for layer in sampled.numpy()]),
        highest=Examples(
            stacked(lambda state: state.highest.values),
            stacked(lambda state: state.highest.windows),
            stacked(lambda state: state.highest.positions),
        ),
        lowest=Examples(
            stacked(lambda state: state.lowest.values),
            stacked(lambda state: state.lowest.windows),
            stacked(lambda state: state.lowest.positions),
        ),
        here=None
        if lookups is None
        else (np.stack([each.values[0] for each in lookups]), np.stack([each.values[1] for each in lookups])),
    )


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
