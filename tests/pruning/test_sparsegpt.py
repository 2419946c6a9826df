"""SparseGPT against the published way of writing it, in float64 and one column at a time; and what must hold for any
matrix."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.errors import BadInput
from prunescope.lm.loading import load
from prunescope.pruning.hessian import Hessian
from prunescope.pruning.masks import count_true
from prunescope.pruning.methods.sparsegpt import SparseGPT
from prunescope.pruning.patterns import NofM, Unstructured

CPU = torch.device("cpu")


def problem(rows: list[int], columns: int, seed: int = 0, dead: int = 0):
    """Matrices that read the same correlated inputs, of which the first `dead` are always zero."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(3 * columns, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    inputs[:, :dead] = 0
    hessian = Hessian(columns, CPU)
    hessian.add(inputs, 1)
    return [torch.randn(each, columns, generator=generator) for each in rows], inputs, hessian


def slowly(weight, hessian, pattern, damping=0.01, blocksize=128):
    """The authors' recursion: each column's error is written into all later columns of its block, then of the rest."""
    weight, hessian = weight.double().clone(), hessian.double().clone()
    dead = hessian.diagonal() == 0
    hessian[dead, dead] = 1
    weight[:, dead] = 0
    hessian += damping * hessian.diagonal().mean() * torch.eye(len(hessian))
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    columns = weight.shape[1]
    gone = torch.zeros_like(weight, dtype=torch.bool)
    for start in range(0, columns, blocksize):
        stop = min(start + blocksize, columns)
        block, factor = weight[:, start:stop].clone(), upper[start:stop, start:stop]
        errors = torch.zeros_like(block)
        if isinstance(pattern, Unstructured):
            scores = block**2 / factor.diagonal() ** 2
            gone[:, start:stop] = scores <= scores.flatten().sort().values[int(scores.numel() * pattern.sparsity)]
        for column in range(stop - start):
            if isinstance(pattern, NofM) and (start + column) % pattern.m == 0:
                group = slice(column, column + pattern.m)
                scores = block[:, group] ** 2 / factor.diagonal()[group] ** 2
                lowest = scores.argsort(dim=1, stable=True)[:, : pattern.m - pattern.n]
                gone[:, start + column : start + column + pattern.m].scatter_(1, lowest, True)
            kept = torch.where(gone[:, start + column], 0.0, block[:, column])
            errors[:, column] = (block[:, column] - kept) / factor[column, column]
            block[:, column:] -= errors[:, column : column + 1] * factor[column : column + 1, column:]
            weight[:, start + column] = kept
        weight[:, stop:] -= errors @ upper[start:stop, stop:]
    return gone, weight


def assert_like_the_slow_way(weights, hessian, pattern, **options):
    decisions = SparseGPT(**options).decide([weight.clone() for weight in weights], hessian, pattern)
    block = options.get("block_columns", 128)
    if isinstance(pattern, NofM):
        block = pattern.m  # the size of blocks changes nothing here, and this one never cuts a group
    for weight, decision in zip(weights, decisions, strict=True):
        gone, updated = slowly(weight, hessian.matrix(), pattern, options.get("damping", 0.01), block)
        assert torch.equal(~decision.keep, gone)
        torch.testing.assert_close(decision.updated.double(), updated, rtol=1e-3, atol=1e-3)
        assert not decision.updated[gone].any() and decision.order is None and decision.damping_retries == 0


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("block_columns", [1, 10, 40, 128])
def test_unstructured_like_the_slow_way(sparsity, block_columns):
    weights, _, hessian = problem([24, 8, 8], 150)
    assert_like_the_slow_way(weights, hessian, Unstructured(sparsity), block_columns=block_columns)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 8), (1, 4), (3, 5), (2, 3), (1, 150), (10, 75)])
@pytest.mark.parametrize("block_columns", [1, 50, 128])
def test_n_of_m_like_the_slow_way_also_where_m_divides_no_block(n, m, block_columns):
    weights, _, hessian = problem([24, 8], 600 if 600 % m == 0 else 150)
    assert_like_the_slow_way(weights, hessian, NofM(n, m), block_columns=block_columns)


def test_damping_and_inputs_that_were_always_zero():
    weights, _, hessian = problem([16], 40, dead=5)
    assert_like_the_slow_way(weights, hessian, Unstructured(0.4), damping=0.2)
    assert_like_the_slow_way(weights, hessian, NofM(2, 4))
    decision = SparseGPT().decide(weights, hessian, NofM(2, 4))[0]
    assert not decision.updated[:, :5].any()


@given(st.integers(1, 8), st.integers(1, 30), st.floats(0.01, 0.95), st.integers(0, 3))
@settings(deadline=None)
def test_each_block_of_each_matrix_loses_its_share(rows, columns, sparsity, seed):
    weights, _, hessian = problem([rows, 3], columns, seed)
    decisions = SparseGPT(block_columns=8).decide(weights, hessian, Unstructured(sparsity))
    for decision in decisions:
        for block in decision.keep.split(8, dim=1):
            assert count_true(~block) == int(block.numel() * sparsity) + 1


@given(st.integers(1, 8), st.integers(1, 6), st.integers(2, 6), st.data())
@settings(deadline=None)
def test_every_group_of_m_keeps_n(rows, groups, m, data):
    n = data.draw(st.integers(1, m - 1))
    weights, _, hessian = problem([rows], groups * m)
    keep = SparseGPT().decide(weights, hessian, NofM(n, m))[0].keep
    assert (keep.reshape(rows, groups, m).sum(dim=2) == n).all()


def test_sparsity_zero_keeps_everything_as_it_is():
    weights, _, hessian = problem([4], 20, dead=2)
    decision = SparseGPT().decide(weights, hessian, Unstructured(0.0))[0]
    assert decision.keep.all() and decision.updated is None


def test_weights_are_not_changed():
    weights, _, hessian = problem([4, 4], 20)
    before = [weight.clone() for weight in weights]
    SparseGPT().decide(weights, hessian, Unstructured(0.5))
    assert all(torch.equal(one, other) for one, other in zip(weights, before, strict=True))


@pytest.mark.parametrize("pattern", [Unstructured(0.5), NofM(2, 4)], ids=str)
def test_the_update_lowers_the_output_error_on_every_matrix_of_a_trained_model(pattern):
    model = load(Path(__file__).parents[2] / "demo" / "model").model
    windows = torch.randint(5, 4000, (8, 64), generator=torch.Generator().manual_seed(0))
    inputs: dict[str, torch.Tensor] = {}
    modules = {
        f"{index} {name}": module
        for index, layer in enumerate(decoder_layers(model))
        for name, module in linears(layer).items()
    }
    handles = [
        module.register_forward_hook(lambda _, args, __, name=name: inputs.update({name: args[0].flatten(0, -2)}))
        for name, module in modules.items()
    ]
    with torch.no_grad():
        model(windows)
    for handle in handles:
        handle.remove()
    for name, module in modules.items():
        weight = weight_view(module).float()
        hessian = Hessian(weight.shape[1], CPU)
        hessian.add(inputs[name], len(windows))
        decision = SparseGPT().decide([weight], hessian, pattern)[0]
        with_update = torch.linalg.vector_norm(inputs[name] @ (decision.updated - weight).T)
        with_mask_alone = torch.linalg.vector_norm(inputs[name] @ (weight * decision.keep - weight).T)
        assert with_update < with_mask_alone, name


def test_more_damping_is_counted():
    weights, _, hessian = problem([4], 2)
    hessian.matrix = lambda: torch.tensor([[1.0, 1.5], [1.5, 1.0]])
    assert SparseGPT().decide(weights, hessian, Unstructured(0.5))[0].damping_retries == 2


def test_options_that_make_no_sense():
    with pytest.raises(BadInput, match="damping 0 is not above 0"):
        SparseGPT(damping=0)
    with pytest.raises(BadInput, match="block_columns 0 is not above 0"):
        SparseGPT(block_columns=0)
