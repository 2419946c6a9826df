"""RIA's scores and masks, its options, and how masks behave when channels change places."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.errors import BadInput
from prunescope.pruning.masks import count_true
from prunescope.pruning.methods import build
from prunescope.pruning.methods.protocol import WeightsOnly
from prunescope.pruning.methods.ria import RIA, ria_scores
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.permutation import retained
from prunescope.pruning.statistics import InputNorms
from prunescope.pruning.verification import PatternMissed, verified_sparsity

CPU = torch.device("cpu")


def problem(rows, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator), torch.randn(30, columns, generator=generator)


def norms_of(inputs):
    norms = InputNorms(inputs.shape[1], CPU)
    norms.add(inputs, 1)
    return norms


def test_the_formula_weight_by_weight():
    weight, inputs = problem(3, 5)
    norms = norms_of(inputs).norms()
    scores = ria_scores(weight, norms, 0.5)
    size = weight.abs().double()
    for row in range(3):
        for column in range(5):
            relative = size[row, column] / size[:, column].sum() + size[row, column] / size[row].sum()
            assert float(scores[row, column]) == pytest.approx(float(relative * norms[column] ** 0.5), rel=1e-5)


def test_rows_and_columns_of_zeros_have_scores_of_zero():
    weight = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    scores = ria_scores(weight, torch.ones(3), 0.5)
    assert scores.isfinite().all() and scores[0].tolist() == [0, 0, 0] and scores[1, 0] == 0


def test_half_precision_inputs_do_not_underflow():
    norms = InputNorms(2, CPU)
    norms.add(torch.full((4, 2), 1e-4, dtype=torch.float16), 1)
    keep = RIA().decide([torch.tensor([[1e-6, 2e-6], [3e-6, 4e-6]])], norms, Unstructured(0.25))[0].keep
    assert count_true(keep) == 2  # what stands at position 1 goes too


@given(st.integers(1, 6), st.integers(1, 20), st.floats(0.01, 0.95))
@settings(deadline=None)
def test_each_matrix_or_each_row_loses_its_share(rows, columns, sparsity):
    weight, inputs = problem(rows, columns)
    statistics, pattern = norms_of(inputs), Unstructured(sparsity)
    by_matrix = RIA().decide([weight], statistics, pattern)[0]
    by_row = RIA(within="row").decide([weight], statistics, pattern)[0]
    assert count_true(~by_matrix.keep) >= int(rows * columns * sparsity) + 1
    assert ((~by_row.keep).sum(dim=1) == int(columns * sparsity)).all()
    assert by_matrix.order is by_row.order is by_matrix.updated is None


@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from([NofM(2, 4), NofM(1, 4), NofM(3, 5), NofM(4, 8)]))
@settings(deadline=None)
def test_every_group_of_the_chosen_order_keeps_n(rows, groups, pattern):
    weight, inputs = problem(rows, groups * pattern.m)
    for permutation in ("none", "reallocation", "assignment"):
        decision = RIA(permutation=permutation).decide([weight], norms_of(inputs), pattern)[0]
        kept = decision.keep if decision.order is None else decision.keep[:, decision.order]
        assert (kept.reshape(-1, pattern.m).sum(dim=1) == pattern.n).all()
        verified_sparsity(weight * decision.keep, pattern, decision.order, "here")


def test_a_permuted_pattern_is_none_in_the_stored_order():
    weight, inputs = problem(16, 32)
    decision = RIA(permutation="reallocation").decide([weight], norms_of(inputs), NofM(2, 4))[0]
    with pytest.raises(PatternMissed):
        verified_sparsity(weight * decision.keep, NofM(2, 4), None, "here")


def test_each_step_of_permutation_retains_more():
    weight, inputs = problem(32, 64)
    scores = ria_scores(weight, norms_of(inputs).norms(), 0.5)
    kept = []
    for permutation in ("none", "reallocation", "assignment"):
        decision = RIA(permutation=permutation).decide([weight], norms_of(inputs), NofM(2, 4))[0]
        kept.append(float(scores[decision.keep].double().sum()))
        if decision.order is not None:
            assert retained(scores, NofM(2, 4), decision.order) == pytest.approx(kept[-1])
    assert kept == sorted(kept) and kept[0] < kept[2]


def test_an_unstructured_mask_does_not_depend_on_the_permutation():
    weight, inputs = problem(8, 16)
    plain, permuted = (
        RIA(permutation=name).decide([weight], norms_of(inputs), Unstructured(0.5))[0]
        for name in ("none", "assignment")
    )
    assert torch.equal(plain.keep, permuted.keep) and permuted.order is None


@pytest.mark.parametrize(
    ("method", "options"), [("magnitude", {}), ("wanda", {}), ("ria", {}), ("ria", {"within": "row"})]
)
@given(st.integers(1, 6), st.integers(1, 20), st.integers(0, 100))
@settings(deadline=None)
def test_permuting_the_channels_permutes_the_mask(method, options, rows, columns, seed):
    weight, inputs = problem(rows, columns, seed)
    order = torch.randperm(columns, generator=torch.Generator().manual_seed(seed))
    rule = build(method, options)

    def keep(weight, inputs):
        if isinstance(rule, WeightsOnly):
            return rule.decide(weight, Unstructured(0.5)).keep
        return rule.decide([weight], norms_of(inputs), Unstructured(0.5))[0].keep

    assert torch.equal(keep(weight[:, order], inputs[:, order]), keep(weight, inputs)[:, order])


def test_options_that_make_no_sense():
    with pytest.raises(BadInput, match="exponent -1 is below 0"):
        RIA(exponent=-1)
    with pytest.raises(BadInput, match="within 'column' is unknown; known: matrix, row"):
        RIA(within="column")
    with pytest.raises(BadInput, match="permutation 'all' is unknown; known: none, reallocation, assignment"):
        RIA(permutation="all")
    with pytest.raises(BadInput, match="subgroups 0 is not above 0"):
        RIA(subgroups=0)
