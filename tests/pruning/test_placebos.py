"""The placebo methods: `random` removes weights without regard to them, `noise` adds noise and removes nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.errors import BadInput
from prunescope.pruning.hessian import Hessian
from prunescope.pruning.methods import build
from prunescope.pruning.methods.noise import Noise, _input_norms
from prunescope.pruning.methods.random_mask import RandomMask
from prunescope.pruning.methods.sparsegpt import SparseGPT
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.statistics import InputNorms
from prunescope.pruning.walk import prune
from tests.models import VOCABULARY, tiny

CPU = torch.device("cpu")
PATTERNS = (Unstructured(0.5), Unstructured(0.3), NofM(2, 4))


def problem(rows, columns, seed=0):
    """A matrix, and inputs of which one is massive and one always zero."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(60, columns, generator=generator)
    inputs[0, 1] = 500.0
    inputs[:, 2] = 0
    return torch.randn(rows, columns, generator=generator), inputs


def hessian_of(inputs):
    hessian = Hessian(inputs.shape[1], CPU)
    hessian.add(inputs, 3)
    return hessian


def windows(seed=0):
    return torch.randint(2, VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(PATTERNS), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_random_removes_exactly_its_share_of_every_row_or_group(rows, groups, pattern, seed):
    weight = torch.randn(rows, 4 * groups, generator=torch.Generator().manual_seed(seed))
    keep = RandomMask(seed).decide(weight, pattern).keep
    if isinstance(pattern, NofM):
        assert (keep.reshape(-1, 4).sum(1) == 2).all()
    else:
        assert ((~keep).sum(1) == int(4 * groups * pattern.sparsity)).all()


def test_random_masks_differ_by_seed_and_matrix_and_not_by_run():
    one, other = torch.randn(2, 8, 64, generator=torch.Generator().manual_seed(0))
    pattern = Unstructured(0.5)
    keep = RandomMask().decide(one, pattern).keep
    assert (RandomMask().decide(one.clone(), pattern).keep == keep).all()
    for another in (RandomMask(1).decide(one, pattern).keep, RandomMask().decide(other, pattern).keep):
        assert 0.4 < float((another == keep).float().mean()) < 0.6


def test_random_chooses_without_regard_to_the_weights():
    weight = torch.randn(400, 64, generator=torch.Generator().manual_seed(3))
    keep = RandomMask().decide(weight, Unstructured(0.5)).keep
    kept, removed = weight[keep].abs().mean(), weight[~keep].abs().mean()
    assert float(kept / removed) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("like", ["magnitude", "wanda", "sparsegpt", "ria"])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_noise_has_the_output_error_of_the_other_method_in_every_row(like, pattern):
    weight, inputs = problem(6, 16)
    hessian = hessian_of(inputs)
    rule = build(like, {})
    norms = InputNorms(16, CPU)
    norms.add(inputs, 3)
    match like:
        case "magnitude":
            other = rule.decide(weight, pattern)
        case "sparsegpt":
            other = SparseGPT().decide([weight], hessian, pattern)[0]
        case _:
            other = rule.decide([weight], norms, pattern)[0]
    changed = torch.where(other.keep, weight if other.updated is None else other.updated, 0)
    decision = Noise(like).decide([weight], hessian, pattern)[0]
    for row in range(6):  # in double precision, token by token
        wanted, found = (
            sum(float(x.double() @ (one[row] - weight[row]).double()) ** 2 for x in inputs)
            for one in (changed, decision.updated)
        )
        assert found == pytest.approx(wanted, rel=1e-3)
    assert decision.keep.all() and decision.holds == Unstructured(0)


def test_noise_spreads_its_error_over_the_inputs():
    weight, inputs = problem(300, 16)
    change = Noise().decide([weight], hessian_of(inputs), Unstructured(0.5))[0].updated - weight
    share = (change.square().sum(0) * inputs.square().sum(0))[[*range(2), *range(3, 16)]]
    assert float(share.max() / share.min()) < 2  # also for the massive input; the one that is zero has no noise
    assert (change[:, 2] == 0).all()


def test_a_rarely_active_input_gets_no_huge_noise():
    weight, inputs = problem(50, 16)
    inputs[:, 5] *= 1e-6
    change = Noise().decide([weight], hessian_of(inputs), Unstructured(0.5))[0].updated - weight
    assert float(change[:, 5].std()) < 20 * float(change[:, 6:].std())


def test_noise_at_sparsity_0_changes_nothing_and_neither_do_inputs_of_zeros():
    weight, inputs = problem(6, 16)
    assert (Noise().decide([weight], hessian_of(inputs), Unstructured(0))[0].updated == weight).all()
    silent = Noise().decide([weight], hessian_of(torch.zeros(5, 16)), Unstructured(0.5))[0].updated
    assert (silent == weight).all()


def test_the_norms_of_the_inputs_are_those_of_wanda():
    _, inputs = problem(1, 16)
    norms = InputNorms(16, CPU)
    norms.add(inputs, 3)
    torch.testing.assert_close(_input_norms(hessian_of(inputs)).norms(), norms.norms())


def test_an_unknown_method_to_be_like_lists_the_known_ones():
    with pytest.raises(BadInput, match="like 'owl' is unknown; known: magnitude, wanda, sparsegpt, ria"):
        build("noise", {"like": "owl"})


@pytest.mark.parametrize("family", ["llama", "phi3", "opt"])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_noise_in_a_whole_model_is_as_large_as_wanda_and_removes_nothing(family, pattern):
    noisy, pruned = tiny(family), tiny(family)
    found = prune(noisy, "noise", pattern, windows())
    wanted = prune(pruned, "wanda", pattern, windows())
    # Only the first layer's first matrices read the same inputs in both models.
    for one, other in zip(found[0].matrices[:1], wanted[0].matrices[:1], strict=True):
        assert one.relative_error == pytest.approx(other.relative_error, rel=1e-3)
    for report in found:
        assert all(matrix.sparsity == 0 and not matrix.sparsity_note for matrix in report.matrices)
        assert all(matrix.relative_error > 0 for matrix in report.matrices)
    for layer in decoder_layers(noisy):
        assert all((weight_view(module) != 0).all() for module in linears(layer).values())


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_whole_model_at_random_needs_no_windows_and_has_the_pattern(pattern):
    model = tiny("llama")
    reports = prune(model, "random", pattern, None)
    share = 0.3 if pattern == Unstructured(0.3) else 0.5
    assert all(abs(matrix.sparsity - share) < 0.02 for report in reports for matrix in report.matrices)
    masks = [(weight_view(linears(layer)["mlp.gate_proj"]) == 0) for layer in decoder_layers(model)]
    assert not (masks[0] == masks[1]).all()  # of the same shape, but drawn for each matrix
