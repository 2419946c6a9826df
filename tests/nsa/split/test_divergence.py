"""KL(dense || pruned) against the models' own logits."""

import numpy as np
import pytest
import torch
from torch import nn

from prunescope.nsa.split import divergence
from prunescope.nsa.split.divergence import Head, Predictions, comparable, divergences, find_head
from tests.models import DECODERS, tiny
from tests.nsa.split.test_changes import pruned

IDS = [0, 40, 41, 42, 43, 60, 61]
CPU = torch.device("cpu")


def predictions(model: nn.Module) -> tuple[Predictions, torch.Tensor]:
    """The decoder's results, and the log-probabilities [tokens, vocabulary] by the model itself."""
    with torch.no_grad():
        hidden = model.base_model(torch.tensor([IDS]))[0][0].numpy()
        logits = model(torch.tensor([IDS])).logits[0]
    return Predictions(model.get_output_embeddings(), torch.float32, lambda some: hidden[some]), logits.log_softmax(1)


def both(family: str) -> tuple[np.ndarray, np.ndarray]:
    """The divergences, and those of the models' own logits."""
    dense, other = tiny(family), pruned(family)
    (of_dense, p), (of_pruned, q) = predictions(dense), predictions(other)
    head = find_head(dense, IDS)
    assert head is not None
    found = divergences(head, of_dense, of_pruned, len(IDS), CPU)
    return found, (p.exp() * (p - q)).sum(1).numpy()


@pytest.mark.parametrize("family", DECODERS)  # gemma2 has a soft cap, cohere a scale, opt a projection before its head
def test_divergences_equal_those_of_the_models_logits(family: str) -> None:
    found, expected = both(family)
    assert found.max() > 5e-6
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_pieces_of_the_vocabulary_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = both("llama")
    monkeypatch.setattr(divergence, "MAX_WEIGHTS", 7 * 32)
    monkeypatch.setattr(divergence, "MAX_PAIRS", 3 * 32)
    np.testing.assert_allclose(both("llama")[0], whole, rtol=1e-4, atol=1e-6)


def test_a_model_against_itself_diverges_nowhere() -> None:
    side, _ = predictions(tiny("llama"))
    assert not divergences(Head(), side, side, len(IDS), CPU).any()


def test_logits_that_are_something_else_have_no_head() -> None:
    model = tiny("llama")
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda _module, _args, output: output**2)
    assert find_head(model, IDS) is None


def test_heads_of_other_shapes_are_not_compared() -> None:
    assert comparable(nn.Linear(3, 5), nn.Linear(3, 5))
    assert not comparable(nn.Linear(3, 5), nn.Linear(3, 6))
    assert not comparable(nn.Linear(3, 5), None)
