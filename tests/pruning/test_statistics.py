import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.lm.errors import BadInput
from prunescope.pruning.statistics import InputNorms


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_a_running_mean_over_sequences_whatever_the_batches(sequences, tokens, batch, flat):
    inputs = torch.randn(sequences, tokens, 3, generator=torch.Generator().manual_seed(sequences))
    norms = InputNorms(3, inputs.device)
    for start in range(0, sequences, batch):
        part = inputs[start : start + batch]
        norms.add(part.flatten(0, 1) if flat else part, len(part))
    expected = sum(sequence.double().square().sum(dim=0) for sequence in inputs) / sequences
    torch.testing.assert_close(norms.norms().double(), expected.sqrt(), rtol=1e-5, atol=1e-6)


def test_half_precision_is_summed_in_float32():
    norms = InputNorms(1, torch.device("cpu"))
    norms.add(torch.full((1, 4096, 1), 200.0, dtype=torch.float16), 1)
    assert norms.norms().item() == pytest.approx(200 * 64)


def test_inputs_that_are_not_finite():
    norms = InputNorms(2, torch.device("cpu"))
    norms.add(torch.tensor([[1.0, float("inf")]]), 1)
    with pytest.raises(BadInput, match="not finite"):
        norms.norms()
