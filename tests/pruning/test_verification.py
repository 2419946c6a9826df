import pytest
import torch

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.pruning.allocation import OWL, UNIFORM
from prunescope.pruning.methods import METHODS
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.verification import PatternMissed, sparsity_note, verified_sparsity
from prunescope.pruning.walk import prune
from tests.models import tiny

WINDOWS = torch.randint(2, 300, (5, 24), generator=torch.Generator().manual_seed(2))


def test_zeros_are_counted():
    weight = torch.tensor([[0.0, 1, 0, 2], [3, 0, 4, -0.0]])
    assert verified_sparsity(weight, Unstructured(0.5), None, "here") == 0.5
    assert verified_sparsity(weight, NofM(2, 4), None, "here") == 0.5
    assert verified_sparsity(weight, Unstructured(0.3), None, "here") == 0.5


def test_too_few_zeros_are_an_error_that_names_the_place():
    with pytest.raises(PatternMissed, match=r"layer 3 fc1: 1 of 8 weights are zero, 0\.5"):
        verified_sparsity(torch.tensor([[0.0, 1, 1, 1], [1, 1, 1, 1]]), Unstructured(0.5), None, "layer 3 fc1")
    with pytest.raises(PatternMissed, match="layer 3 fc1: 1 of 2 groups hold more than 1 of 4"):
        verified_sparsity(torch.tensor([[0.0, 0, 0, 1], [0, 0, 1, 1]]), NofM(1, 4), None, "layer 3 fc1")


def test_a_pattern_may_hold_in_another_order_of_columns():
    weight = torch.tensor([[0.0, 0, 1, 1]])
    assert verified_sparsity(weight, NofM(1, 2), torch.tensor([0, 2, 1, 3]), "here") == 0.5
    with pytest.raises(PatternMissed):
        verified_sparsity(weight, NofM(1, 2), None, "here")


def test_long_groups_are_counted_without_overflow():
    weight = torch.zeros(1, 512)
    assert verified_sparsity(weight, NofM(1, 512), None, "here") == 1.0


def test_a_matrix_as_sparse_as_asked_needs_no_note():
    keep = torch.tensor([[True, False] * 50])
    assert sparsity_note(0.5, keep, Unstructured(0.5), 1, "here") == ""
    assert sparsity_note(0.51, keep, Unstructured(0.5), 1, "here") == ""
    assert sparsity_note(0.5, keep, NofM(1, 2), 1, "here") == ""


def test_zeros_that_the_mask_keeps_are_said():
    keep = torch.tensor([[True, False] * 50])
    note = sparsity_note(0.75, keep, Unstructured(0.5), 1, "here")
    assert note == (
        "75.0% zeros, 50.0% asked for: 25 weights are zero that the mask keeps: they were zero before, their input is "
        "always zero, or they round to zero"
    )
    assert sparsity_note(0.75, keep, NofM(1, 2), 1, "here") == note


def test_what_a_rule_takes_more_or_less_is_said():
    assert sparsity_note(4 / 6, torch.tensor([[True, True, False, False, False, False]]), Unstructured(0.5), 1, "") == (
        "66.7% zeros, 50.0% asked for: only whole weights can be removed, and the 1 x 6 matrix has few"
    )
    fewer = torch.tensor([[True, True, False]] * 4)
    assert sparsity_note(1 / 3, fewer, Unstructured(0.5), 1, "").startswith("33.3% zeros, 50.0% asked for: only whole")


@pytest.mark.parametrize("pattern", [Unstructured(0.5), NofM(2, 4)], ids=str)
def test_a_mask_that_takes_a_point_more_is_an_error_that_names_the_place(pattern):
    keep = torch.zeros(20, 20, dtype=torch.bool)
    keep.view(-1)[:190] = True
    with pytest.raises(
        PatternMissed, match=r"layer 3 fc1: the mask removes 210 of 400 weights \(52\.5%\), .* asked for"
    ):
        sparsity_note(0.525, keep, pattern, 1, "layer 3 fc1")
    assert sparsity_note(0.525, keep, pattern, 10, "layer 3 fc1").startswith("52.5% zeros")


def ternary(family):
    """A model whose weights are of three values, each matrix with a scale of its own."""
    model = tiny(family)
    for layer in decoder_layers(model):
        for number, module in enumerate(linears(layer).values(), start=1):
            weight = weight_view(module)
            weight.copy_(weight.sign() * (weight.abs() > weight.abs().mean()) * number / 8)
    return model


def pruned_weights(model):
    return [weight_view(module) for layer in decoder_layers(model) for module in linears(layer).values()]


@pytest.mark.parametrize("allocation", [UNIFORM, OWL()], ids=["uniform", "owl"])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "noise"])  # noise removes nothing
@pytest.mark.parametrize("pattern", [Unstructured(0.7), NofM(1, 4)], ids=str)
def test_ties_never_take_more_than_asked(method, pattern, allocation):
    if allocation is not UNIFORM and isinstance(pattern, NofM):
        return
    model = ternary("llama")
    dense = {name: parameter.clone() for name, parameter in model.named_parameters()}
    zeros_before = float(torch.cat([weight.flatten() == 0 for weight in pruned_weights(model)]).float().mean())
    reports = prune(model, method, pattern, WINDOWS, allocation=allocation)
    matrices = [matrix for report in reports for matrix in report.matrices]
    asked = 0.75 if isinstance(pattern, NofM) else 0.7
    if isinstance(pattern, Unstructured):
        # A method's scores take the zeros first. A random draw takes as many weights, whatever they are, so the zeros
        # among those that it keeps come on top.
        expected = 0.7 + 0.3 * zeros_before if method == "random" else 0.7
        weights = sum(matrix.rows * matrix.columns for matrix in matrices)
        zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
        assert zeros / weights == pytest.approx(expected, abs=0.02)
    # A group of four zeros stays one.
    most = asked + (0.01 if allocation is UNIFORM else 0.09)  # OWL takes up to 0.08 more of a layer
    assert all(matrix.sparsity <= most or "that the mask keeps" in matrix.sparsity_note for matrix in matrices)
    again = ternary("llama")
    prune(again, method, pattern, WINDOWS, allocation=allocation)
    for (name, one), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name
        assert method == "sparsegpt" or bool(((one == dense[name]) | (one == 0)).all())


def test_a_matrix_that_is_sparser_than_asked_stays_so_and_says_it():
    for method in METHODS:
        model = ternary("llama")
        layer = decoder_layers(model)[0]
        weight = weight_view(linears(layer)["mlp.up_proj"])
        weight[:, 8:] = 0
        matrix = prune(model, method, Unstructured(0.5), WINDOWS)[0].matrices[5]
        assert matrix.name == "mlp.up_proj" and (matrix.sparsity >= 0.75 or method == "sparsegpt")
        assert method == "sparsegpt" or "weights are zero that the mask keeps" in matrix.sparsity_note
