"""The statistics of a corpus computed from all activations in memory, slowly and obviously."""

import numpy as np
import torch
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, neuron_count
from prunescope.lm.hooks import record_inputs
from prunescope.nsa.corpus.windows import Windows


def all_activations(model: PreTrainedModel, windows: Windows) -> list[list[np.ndarray]]:
    """[layer][window] -> float32 [tokens, neurons], one window at a time."""
    neurons = neuron_count(model)
    found: list[list[np.ndarray]] = [[] for _ in decoder_layers(model)]
    modules = {index: down_projection(layer) for index, layer in enumerate(decoder_layers(model))}
    for start, end in zip(windows.starts, windows.ends, strict=True):
        ids = torch.tensor([windows.ids[start:end].tolist()])
        with (
            torch.no_grad(),
            record_inputs(modules, lambda layer, x: found[layer].append(x.reshape(-1, neurons).numpy().copy())),
        ):
            model(input_ids=ids, use_cache=False)
    return found


def sinks_of(model: PreTrainedModel, windows: Windows) -> np.ndarray:
    """The mask of the attention sinks, position 0 excepted: a value of at least 100 and of 1000 times the window's
    median magnitude, in the input of any layer but the first [tokens]."""
    found = np.zeros(len(windows.ids), dtype=bool)
    layers = len(decoder_layers(model))
    for start, end in zip(windows.starts, windows.ends, strict=True):
        with torch.no_grad():
            ids = torch.tensor([windows.ids[start:end].tolist()])
            states = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        for state in states[1:layers]:
            magnitudes = state[0].abs().numpy()
            least = max(100.0, 1000 * float(np.quantile(magnitudes, 0.5, method="inverted_cdf")))
            found[start + 1 : end] |= magnitudes.max(1)[1:] >= least
    return found


def counted_of(windows: Windows) -> list[np.ndarray]:
    """The mask of the counted tokens of each window."""
    return [windows.counted[start:end] for start, end in zip(windows.starts, windows.ends, strict=True)]


def best_examples(
    values: list[np.ndarray], counted: list[np.ndarray], order: list[int], neuron: int, most: int, sign: int
) -> list[tuple[float, int, int]]:
    """(activation, window, position) of a neuron's most extreme examples, by sorting one candidate of each window."""
    found = []
    for window in order:
        candidates = [
            (sign * float(value), position)
            for position, value in enumerate(values[window][:, neuron])
            if counted[window][position] and sign * value > 0
        ]
        if candidates:
            best = max(value for value, _ in candidates)
            found.append((best, window, next(position for value, position in candidates if value == best)))
    found.sort(key=lambda one: -one[0])  # stable: of equal ones, the first that was read
    return [(sign * value, window, position) for value, window, position in found[:most]]
