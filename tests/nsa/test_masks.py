"""Masked fractions against a plain count over named weights."""

import numpy as np
import pytest
import torch

from prunescope.nsa.masks import masked_fractions, zeros
from tests.models import tiny

WEIGHTS = {  # names of [in..., out] below the decoder layer, and whether they are stored transposed
    "llama": ("model.layers.{}.mlp", ("gate_proj", "up_proj"), "down_proj", False),
    "opt": ("model.decoder.layers.{}", ("fc1",), "fc2", False),
    "gpt2": ("transformer.h.{}.mlp", ("c_fc",), "c_proj", True),
    "gpt_neox": ("gpt_neox.layers.{}.mlp", ("dense_h_to_4h",), "dense_4h_to_h", False),
}


@pytest.mark.parametrize("family", list(WEIGHTS))
@pytest.mark.parametrize("sparse_before", [False, True])
def test_fractions_are_a_plain_count(family: str, sparse_before: bool) -> None:
    place, ups, down, transposed = WEIGHTS[family]
    generator = torch.Generator().manual_seed(0)

    def mask(model: torch.nn.Module, share: float) -> None:
        for layer in range(2):
            for name in (*ups, down):
                weight = model.get_submodule(f"{place.format(layer)}.{name}").weight
                weight[torch.rand(weight.shape, generator=generator) < share] = 0

    dense = tiny(family)
    if sparse_before:
        mask(dense, 0.3)
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    known = zeros(dense)
    assert bool(known.packed) == sparse_before
    mask(dense, 0.5)
    found = masked_fractions(dense, known)
    for layer in range(2):

        def rows(name: str, weights: dict[str, torch.Tensor], layer: int = layer) -> torch.Tensor:
            weight = weights[f"{place.format(layer)}.{name}.weight"]
            weight = weight.T if transposed else weight
            return weight.T if name == down else weight

        after = dense.state_dict()
        for neuron in (0, 17, 63):
            gone = [int(((rows(n, before)[neuron] != 0) & (rows(n, after)[neuron] == 0)).sum()) for n in (*ups, down)]
            had = [int((rows(n, before)[neuron] != 0).sum()) for n in (*ups, down)]
            assert found.incoming[layer, neuron] == pytest.approx(sum(gone[:-1]) / sum(had[:-1]))
            assert found.outgoing[layer, neuron] == pytest.approx(gone[-1] / had[-1])


def test_a_fused_gate_and_up_counts_both_rows_of_a_neuron() -> None:
    """Phi-3 holds gate and up in one matrix, the gates of all neurons first."""
    model = tiny("phi3")
    known = zeros(model)
    fused = model.get_submodule("model.layers.1.mlp.gate_up_proj").weight
    assert fused.shape == (128, 32)
    fused[5, :8] = 0
    fused[64 + 5, :24] = 0
    fused[64 + 6] = 0
    found = masked_fractions(model, known).incoming
    assert found[1, 5] == pytest.approx(0.5) and found[1, 6] == pytest.approx(0.5)
    assert found.sum() == pytest.approx(1)


def test_an_untouched_model_lost_nothing() -> None:
    found = masked_fractions(tiny("llama"), zeros(tiny("llama")))
    assert np.array_equal(found.incoming, np.zeros((2, 64)))
    assert np.array_equal(found.outgoing, np.zeros((2, 64)))
