import pytest
import torch

from pruning.patterns import NofM, Unstructured
from pruning.verification import PatternMissed, verified_sparsity


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
