"""Planted truth: one neuron alone carries the answer of some rows, and pruning removes its input weights."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel

from prunescope.lm.answers import Encoded
from prunescope.lm.errors import BadInput, NotFinite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.errors import ModelsDiffer
from prunescope.nsa.explain.answers import said
from prunescope.nsa.explain.explain import explain
from prunescope.nsa.explain.outcome import Options, Outcome
from prunescope.nsa.explain.rows import Row
from tests.models import tiny
from tests.nsa.explain.made import MemorySpool

LAYER, NEURON = 1, 17
A, B = 2, 3
MARKED = range(100, 200)
"""Tokens after which B is right; after any other, A is."""


def planted() -> LlamaForCausalLM:
    """A model that says A unless neuron 17 of layer 1 is active, which it is at marked tokens. Nothing else writes to
    the hidden state."""
    model = tiny("llama")
    assert isinstance(model, LlamaForCausalLM)
    with torch.no_grad():
        embedding = model.model.embed_tokens.weight
        embedding.mul_(0.1)[:, :3] = torch.tensor([0.0, 1.0, 0.0])
        embedding[MARKED.start : MARKED.stop, 0] = 1.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        mlp = model.model.layers[LAYER].mlp
        for matrix in (mlp.gate_proj, mlp.up_proj):
            matrix.weight[NEURON] = 0
            matrix.weight[NEURON, 0] = 1.0
        mlp.down_proj.weight[2, NEURON] = 1.0
        model.lm_head.weight[[A, B]] = 0
        model.lm_head.weight[A, 1] = 2.0
        model.lm_head.weight[B, 2] = 3.0
    return model


def rows_of(count: int = 24) -> list[Row]:
    """Half of the rows end with a marked token."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        marked = index % 2 == 1
        last = int(rng.choice(MARKED) if marked else rng.integers(200, 300))
        prompt = (*rng.integers(200, 300, 3).tolist(), last)
        choices = tuple(Encoded(prompt, (label,), truncated=False) for label in (A, B))
        rows.append(Row(index, choices, int(marked), int(marked)))
    return rows


def loader(model: PreTrainedModel, name: str) -> Callable[[], LanguageModel]:
    return lambda: LanguageModel(model, None, name, torch.float32, torch.device("cpu"))


def run(dense: PreTrainedModel, pruned: PreTrainedModel, asked: list[Row], **options: object) -> Outcome:
    return explain(
        loader(dense, "dense"),
        loader(pruned, "pruned"),
        lambda _lm: asked,
        Options(neurons=(1, 3), **options),  # type: ignore[arg-type]
        MemorySpool,
        lambda *_: None,
    )


def without_inputs(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The model without the input weights of the neuron."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for matrix in (other.model.layers[LAYER].mlp.gate_proj, other.model.layers[LAYER].mlp.up_proj):
            matrix.weight[NEURON] = 0
    return other


def test_the_neuron_that_carries_the_answer_is_found_and_restores_all_of_it() -> None:
    dense = planted()
    found = run(dense, without_inputs(dense), rows_of())
    assert found.rank[LAYER, NEURON] == 1 and len(found.broken) == 12
    curve = dict(found.curves["margin"])
    assert curve[1].restored == pytest.approx(1, abs=1e-5)
    assert (curve[1].right_again, curve[1].newly_wrong) == (12, 0)
    assert curve[128] == found.whole.restored["neurons"] and curve[128].restored == pytest.approx(1, abs=1e-5)
    assert found.integrated[LAYER, NEURON] == pytest.approx(found.whole.integrated["neurons"], abs=1e-6)
    assert found.whole.integrated["neurons"] == pytest.approx(1, abs=0.02)
    # Nothing else moved: all other shares are zero, and random neurons of the same layer restore nothing.
    others = np.delete(found.share.ravel(), LAYER * 64 + NEURON)
    assert np.abs(others).max() < 1e-6
    assert dict(found.curves["random"])[1].high == pytest.approx(0, abs=1e-5)
    assert dict(found.reverse["margin"])[1].restored == pytest.approx(1, abs=1e-5)
    # The neuron is active in the rows of one label only: it carries content as much as it shifts towards B.
    assert found.labels is not None and found.labels.fallen == 1
    assert found.content is not None and found.prior is not None
    assert found.content[LAYER, NEURON] == pytest.approx(found.prior[LAYER, NEURON], rel=1e-4)
    assert found.content[LAYER, NEURON] > 0


def test_a_shift_of_all_rows_towards_one_label_is_prior_and_no_content() -> None:
    """The neuron is as active after every token and pulls every row towards B, so that without it the model says A."""
    dense = planted()
    with torch.no_grad():
        embedding = dense.model.embed_tokens.weight
        embedding[:, 0] = -1.0
        embedding[MARKED.start : MARKED.stop, 0] = 1.0
        mlp = dense.model.layers[LAYER].mlp
        for matrix in (mlp.gate_proj, mlp.up_proj):
            matrix.weight[NEURON, :2] = torch.tensor([0.0, 1.0])
        dense.lm_head.weight[B, 0] = 1.0
    found = run(dense, without_inputs(dense), rows_of())
    assert found.labels is not None and found.prior is not None and found.content is not None
    assert found.rank[LAYER, NEURON] == 1 and len(found.broken) == 12 and found.labels.fallen == 1
    assert found.prior[LAYER, NEURON] > 0.9 * found.share[LAYER, NEURON]
    assert abs(found.content[LAYER, NEURON]) < 0.1 * found.prior[LAYER, NEURON]
    assert [said(np.array(scores))[1] for scores in (found.scores["dense"], found.scores["pruned"])] == [1, 0]
    by_content = run(dense, without_inputs(dense), rows_of(), content=True)
    assert by_content.content is not None
    np.testing.assert_array_equal(np.argsort(-by_content.content.ravel(), kind="stable")[0], by_content.rank.argmin())


def test_without_heads_only_neurons_are_measured() -> None:
    dense = planted()
    found = run(dense, without_inputs(dense), rows_of(), heads=False)
    assert found.head_share.shape == (2, 0) and list(found.whole.restored) == ["neurons"]


def test_the_same_seed_gives_the_same_result_and_another_seed_other_halves() -> None:
    dense = planted()
    pruned = without_inputs(dense)
    one, same, other = (run(dense, pruned, rows_of(), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.share, same.share)
    assert one.curves == same.curves and one.halves[0].tolist() != other.halves[0].tolist()


def test_rows_that_nothing_broke_are_refused_with_what_to_do() -> None:
    dense = planted()
    with pytest.raises(
        BadInput, match=r"pruning broke 0 of 24 rows.*take more rows \(limit\).*\(rows: fell\)"
    ) as caught:
        run(dense, copy.deepcopy(dense), rows_of())
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="so there is no loss to explain"):
        run(dense, copy.deepcopy(dense), rows_of(), rows="all")


def test_models_of_another_shape_are_refused() -> None:
    with pytest.raises(ModelsDiffer, match="pruned has 2 layers of 128 neurons and width 32"):
        other = tiny("llama").config
        other.intermediate_size = 128
        run(planted(), LlamaForCausalLM(other).eval(), rows_of())


def test_a_model_that_is_not_finite_is_refused_in_one_line() -> None:
    dense = planted()
    pruned = without_inputs(dense)
    with torch.no_grad():
        pruned.model.layers[0].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(NotFinite, match="row 0: pruned gives no finite number") as caught:
        run(dense, pruned, rows_of())
    assert "\n" not in str(caught.value)


def test_a_gradient_that_is_not_finite_is_refused_in_one_line() -> None:
    """The margins are finite, but their slope is not: a feature that is always zero is multiplied by 1e40."""
    dense = planted()
    pruned = without_inputs(dense)
    with torch.no_grad():
        for model in (dense, pruned):
            model.model.embed_tokens.weight[:, 5] = 0
        mlp = pruned.model.layers[1].mlp
        mlp.up_proj.weight[0] = mlp.gate_proj.weight[0] = 0
        mlp.up_proj.weight[0, 5], mlp.gate_proj.weight[0, 1], mlp.down_proj.weight[2, 0] = 1e30, 1.0, 1e10
    with pytest.raises(NotFinite, match=r"row \d+, layer 0: the gradient of its margin is not finite at the") as caught:
        run(dense, pruned, rows_of())
    assert "\n" not in str(caught.value)
