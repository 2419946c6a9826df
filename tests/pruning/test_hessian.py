"""The Hessian against one float64 product, and its factor against the inverse of the paper's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.errors import BadInput
from prunescope.pruning.hessian import Hessian, factorise

CPU = torch.device("cpu")


def inputs_of(tokens: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, columns, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 6), st.integers(1, 50), st.integers(1, 4), st.booleans(), st.sampled_from([1, 5, 300]))
@settings(deadline=None)
def test_twice_the_mean_over_sequences_whatever_the_batches(sequences, tokens, batch, flat, columns):
    inputs = inputs_of(sequences * tokens, columns).view(sequences, tokens, columns)
    hessian = Hessian(columns, CPU)
    for start in range(0, sequences, batch):
        part = inputs[start : start + batch]
        hessian.add(part.flatten(0, 1) if flat else part, len(part))
    rows = inputs.flatten(0, 1).double()
    expected = 2 / sequences * rows.T @ rows
    torch.testing.assert_close(hessian.matrix().double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(hessian.matrix(), hessian.matrix().T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    hessian = Hessian(1, CPU)
    hessian.add(torch.full((1, 4096, 1), 200.0, dtype=dtype), 1)
    assert hessian.matrix().item() == 2 * 4096 * 200.0**2


def test_inputs_that_are_not_finite():
    hessian = Hessian(2, CPU)
    hessian.add(torch.tensor([[1.0, float("inf")]]), 1)
    with pytest.raises(BadInput, match="not finite"):
        hessian.matrix()


@pytest.mark.parametrize("columns", [1, 7, 256])
def test_the_factor_is_the_inverse_of_the_papers(columns):
    inputs = inputs_of(2 * columns, columns).double()
    hessian = inputs.T @ inputs
    factor = factorise(hessian.float(), 0.01)
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(columns)
    paper = torch.linalg.cholesky(torch.linalg.inv(damped), upper=True)
    product = factor.upper.double() @ paper
    torch.testing.assert_close(product, torch.eye(columns, dtype=torch.float64), rtol=1e-3, atol=1e-3)
    assert not factor.upper.tril(-1).any()
    assert factor.retries == 0 and not factor.dead.any()


def test_inputs_that_were_always_zero_count_with_a_diagonal_of_one():
    hessian = torch.diag(torch.tensor([4.0, 0.0, 2.0]))
    factor = factorise(hessian, 0.03)
    assert factor.dead.tolist() == [False, True, False]
    damping = 0.03 * 7 / 3
    torch.testing.assert_close(factor.upper, torch.diag(torch.tensor([4.0, 1.0, 2.0]).add(damping).sqrt()))


@pytest.mark.parametrize(("correlation", "retries"), [(1.05, 1), (1.5, 2), (5.0, 3)])
def test_the_damping_is_raised_until_the_factorisation_holds(correlation, retries):
    hessian = torch.tensor([[1.0, correlation], [correlation, 1.0]])
    factor = factorise(hessian, 0.01)
    assert factor.retries == retries
    torch.testing.assert_close(factor.upper @ factor.upper.T, hessian + 0.01 * 10**retries * torch.eye(2))


def test_after_three_times_it_is_an_error_that_says_what_to_do():
    with pytest.raises(BadInput, match="not even with damping 10: give more calibration windows"):
        factorise(torch.tensor([[1.0, 20.0], [20.0, 1.0]]), 0.01)
