"""Tokens that neurons write, against sorting all logits, for every family."""

import numpy as np
import pytest
import torch

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.unembedding import norms_of_outputs, read_unembedding
from prunescope.nsa.corpus import writes
from prunescope.nsa.corpus.writes import Writer, largest
from tests.models import VOCABULARY, tiny


@pytest.mark.parametrize("family", ["llama", "gemma2", "opt", "gpt2", "gpt_neox", "phi3", "falcon", "qwen3"])
def test_tokens_are_those_of_all_logits(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "MAX_LOGITS", 7 * VOCABULARY)  # several pieces, the last one smaller
    model = tiny(family)
    known = np.ones(VOCABULARY, dtype=bool)
    known[[3, 298, 299]] = False
    for layer in (0, 1):
        found = Writer(model, known).layer(layer, tokens=6)
        columns = weight_view(down_projection(decoder_layers(model)[layer]))
        if layer in (norms := norms_of_outputs(model)):
            columns = norms[layer](columns)
        map_ = read_unembedding(model)
        logits = (map_.embedding @ map_.before_embedding(columns)).T.numpy()
        for neuron, row in enumerate(logits):
            allowed = [token for token in range(VOCABULARY) if known[token]]
            up = sorted(allowed, key=lambda token: -row[token])[:6]
            down = sorted(allowed, key=lambda token: row[token])[:6]
            np.testing.assert_allclose(found.up_values[neuron], row[up], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(found.down_values[neuron], row[down], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(row[found.up[neuron]], row[up], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(row[found.down[neuron]], row[down], rtol=1e-4, atol=1e-6)
        assert found.up.shape == found.down.shape == (columns.shape[1], 6)
        assert not np.isin([3, 298, 299], np.concatenate([found.up, found.down])).any()


def test_equal_logits_are_in_the_order_of_ids() -> None:
    columns, values = largest(torch.tensor([[1.0, 3.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]), 3)
    assert columns[0].tolist() == [1, 3, 2]
    assert values.tolist() == [[3.0, 3.0, 2.0], [1.0, 0.0, 0.0]]
    assert columns[1, 0] == 4 and columns[1, 1] < columns[1, 2]


def test_a_small_vocabulary_is_kept_whole() -> None:
    assert largest(torch.tensor([[1.0, 2.0]]), 5)[0].tolist() == [[1, 0]]
