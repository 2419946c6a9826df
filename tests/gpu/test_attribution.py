"""A whole attribution on a GPU says what the CPU says: Scores, tops, spread, drops and controls."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.attribution import Options, Result, attribute
from prunescope.nsa.texts import Text
from tests.models import tiny, tiny_tokenizer

DEVICE = "cuda"
TEXTS = [
    Text("the room was small and the food was bad", "negative", ("bad", "small"), after="\nbad or kind?"),
    Text("Bad staff, but très kind food 😡", "negative", ("bad", "😡"), after="\nbad or kind?"),
    Text("the staff were kind", "positive", ("kind",), after="\nbad or kind?"),
]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]


@dataclass
class Shelf:
    """An archive in memory: machines with a GPU need not have the store's libraries."""

    shape: tuple[int, int, int]
    activations: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    temporary: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def write(self, variant: str, layer: int, start: int, values: np.ndarray) -> None:
        kept = self.activations.setdefault(variant, np.full(self.shape, np.nan, np.float16))
        kept[layer, :, start : start + len(values)] = values.T

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, np.ndarray]]:
        for first in range(0, self.shape[1], 40):
            yield first, np.ascontiguousarray(self.activations[variant][layer, first : first + 40])

    def rows(self, variant: str, layer: int, neurons: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.activations[variant][layer][np.ix_(neurons, tokens)]
        return found

    def close(self, variant: str) -> None:
        """Nothing is only for recording here."""

    def spool(self, name: str, layer: int, start: int, values: np.ndarray) -> None:
        shape = self.shape[2], values.shape[1]
        kept = self.temporary.setdefault((name, layer), np.full(shape, np.nan, np.float32))
        kept[start : start + len(values)] = values

    def spooled(self, name: str, layer: int, tokens: slice) -> np.ndarray:
        return self.temporary[name, layer][tokens].copy()

    def unspool(self, name: str) -> None:
        self.temporary = {key: values for key, values in self.temporary.items() if key[0] != name}

    def spans(self) -> list[slice]:
        return [slice(0, 40), slice(40, self.shape[1])]

    def stored(self, variant: str, layer: int, neurons: slice) -> np.ndarray:
        return self.activations[variant][layer, neurons]

    def store(self, name: str, layer: int, neurons: slice, values: np.ndarray) -> None:
        self.activations.setdefault(name, np.full(self.shape, np.nan, np.float16))[layer, neurons] = values

    def keep(self, name: str, layer: int, values: np.ndarray) -> None:
        self.tables[name, layer] = values

    def kept(self, name: str, layer: int) -> np.ndarray:
        return self.tables[name, layer]


def attributed(device: str, activation: str, source: str) -> tuple[Result, Shelf]:
    shelves: list[Shelf] = []

    def load(prune: float) -> LanguageModel:
        model = tiny("llama").to(device)
        for layer in decoder_layers(model) if prune else ():
            for module in linears(layer).values():
                weight = weight_view(module)
                weight[weight.abs() <= weight.abs().flatten().quantile(prune)] = 0
        return LanguageModel(model, tiny_tokenizer(), str(prune), torch.float32, torch.device(device))

    def open_shelf(examples: list[dict[str, Any]], layers: int, neurons: int) -> Shelf:
        shelves.append(Shelf((layers, neurons, sum(len(example["token_ids"]) for example in examples))))
        return shelves[0]

    options = Options(source=source, activation=activation, permutations=200)
    return attribute(lambda: load(0), [lambda: load(0.5)], TEXTS, options, open_shelf), shelves[0]


@pytest.mark.parametrize("source", ["manual", "gradient", "occlusion"])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_an_attribution_is_the_cpus(activation: str, source: str) -> None:
    (ours, our_shelf), (theirs, their_shelf) = (attributed(device, activation, source) for device in (DEVICE, "cpu"))
    assert [row["word"] for row in ours.tables["words"]] == [row["word"] for row in theirs.tables["words"]]
    for variant, expected in their_shelf.activations.items():
        np.testing.assert_allclose(our_shelf.activations[variant], expected, rtol=2e-3, atol=2e-3)
    # Activations differ by a rounding: sums of them differ by little, an order need not be the same.
    for name in ("score", "lift", "z"):
        known = np.isfinite(theirs.arrays[name]) & np.isfinite(ours.arrays[name])
        assert known.mean() > 0.85
        np.testing.assert_allclose(ours.arrays[name][known], theirs.arrays[name][known], rtol=0.02, atol=0.02)
    for key, expected in their_shelf.tables.items():
        if key[0].startswith("spread/"):
            np.testing.assert_allclose(our_shelf.tables[key][:, :3], expected[:, :3], rtol=0.02, atol=5e-3)
            np.testing.assert_allclose(our_shelf.tables[key][:, 3:].sum(1), expected[:, 3:].sum(1))
    for name in ("own_drop/pruned-1", "upstream_drop/pruned-1"):
        known = np.isfinite(theirs.arrays[name]) & np.isfinite(ours.arrays[name]) & (np.abs(theirs.arrays[name]) < 2)
        assert known.mean() > 0.5
        np.testing.assert_allclose(ours.arrays[name][known], theirs.arrays[name][known], rtol=0.05, atol=0.05)
    np.testing.assert_allclose(ours.arrays["kl/pruned-1"], theirs.arrays["kl/pruned-1"], rtol=0.02, atol=1e-4)
    for name in ("masked_in/pruned-1", "masked_out/pruned-1"):
        np.testing.assert_array_equal(ours.arrays[name], theirs.arrays[name])
    p_values = [each.arrays["p_value"] for each in (ours, theirs)]
    assert np.nanmedian(np.abs(p_values[0] - p_values[1])) < 0.01
    matched = [each.tables["comparisons"]["pruned-1"]["controls"]["top"] for each in (ours, theirs)]
    assert matched[0]["value"] == pytest.approx(matched[1]["value"], abs=0.05)
    for name in ("word_neurons", "token_neurons"):
        same = ours.arrays[name][:, 0] == theirs.arrays[name][:, 0]
        assert same.mean() > 0.9
