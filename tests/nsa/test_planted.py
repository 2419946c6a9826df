"""A neuron whose weights are set so that it fires on one word only is found, and seen to fall when it is pruned."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from prunescope.lm.architecture import decoder_layers, down_projection, up_projections, weight_view
from prunescope.lm.loading import LanguageModel
from prunescope.lm.tokens import tokenize
from prunescope.nsa.attribution import Options
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text
from tests.nsa.test_attribution import language_model, run

WORD = "bad"
TEXTS = [
    Text("the room was small and the food was bad", words=("bad", "small"), after="\nso?"),
    Text("the staff were kind but bad, so bad", words=("bad", "kind"), after="\nso?"),
    Text("the room was kind", words=("kind",), after="\nso?"),
]
NEURON = 37


def own_token(lm: LanguageModel) -> int:
    """A token that is in every occurrence of the word and nowhere else."""
    assert lm.tokenizer is not None
    spelled, others = [], set()
    for text in TEXTS:
        tokens = tokenize(lm.tokenizer, text.prompt)
        found = set(Spelling(text, tokens).tokens_of(WORD).positions)
        spelled += [tokens.ids[at] for at in found]
        others |= {token for at, token in enumerate(tokens.ids) if at not in found}
    (token,) = {token for token in spelled if token not in others and spelled.count(token) == 3}
    return token


def planted_llama() -> LanguageModel:
    """The first coordinate of the stream is the word's own token, and neuron 37 of layer 0 reads nothing else."""
    lm = language_model("llama")
    layer = decoder_layers(lm.model)[0]
    embedding = lm.model.get_input_embeddings().weight
    embedding[:, 0] = 0
    embedding[own_token(lm), 0] = 4
    layer.get_submodule("self_attn.o_proj").weight[:] = 0  # what else would reach it from other tokens
    for module in up_projections(layer).values():
        weight_view(module)[NEURON] = 0
        weight_view(module)[NEURON, 0] = 1
    return lm


def planted_gpt2() -> LanguageModel:
    lm = language_model("gpt2")
    for name in ("transformer.wte", "transformer.wpe"):
        lm.model.get_submodule(name).weight[:, 0] = 0
    lm.model.get_submodule("transformer.wte").weight[own_token(lm), 0] = 20
    for name in ("weight", "bias"):
        getattr(lm.model.get_submodule("transformer.h.0.attn.c_proj"), name)[:] = 0
    up = lm.model.get_submodule("transformer.h.0.mlp.c_fc")
    up.weight[:, NEURON] = 0
    up.weight[0, NEURON] = 10
    up.bias[NEURON] = -30  # the norm before it moves the coordinate of all tokens a little
    return lm


def without(lm: LanguageModel, *, reading: bool) -> LanguageModel:
    """With what the neuron reads pruned away, or with the column that hands it on."""
    layer = decoder_layers(lm.model)[0]
    if reading:
        for module in up_projections(layer).values():
            weight_view(module)[NEURON] = 0
    else:
        weight_view(down_projection(layer))[:, NEURON] = 0
    return lm


@pytest.mark.parametrize("planted", [planted_llama, planted_gpt2])
@pytest.mark.parametrize("activation", ["relu", "abs", "raw"])
def test_a_planted_neuron(tmp_path: Path, planted: Callable[[], LanguageModel], activation: str) -> None:
    store = run(
        tmp_path / "a",
        planted,
        [lambda: without(planted(), reading=True), lambda: without(planted(), reading=False)],
        TEXTS,
        # Three short texts have too few words for a small p from placebo words.
        Options(activation=activation, placebo=0, permutations=200),
    )
    word = [row["word"] for row in store.tables["words"]].index(WORD)
    own = store.neuron(0, NEURON)["dense"]
    fires = np.flatnonzero(own)
    spelled = [
        span.start + at
        for example, span in zip(store.examples, store.spans, strict=True)
        for match in example["words"]
        if match["word"] == WORD
        for at in match["positions"]
    ]
    assert len(fires) == 3
    assert set(fires.tolist()) <= set(spelled)

    assert store.score[0, NEURON] == pytest.approx(1.0)
    assert store.array("word")[0, NEURON] == word
    if activation != "raw":  # a signed share can be above 1
        assert store.array("rank")[0, NEURON] == 1
        assert store.array("word_neurons")[word, 0] == NEURON
        assert store.array("word_scores")[word, 0] == pytest.approx(1.0)
        assert store.array("word_neurons_by_layer")[0, word, 0] == NEURON
    assert store.p_value[0, NEURON] <= 0.05  # q cannot be small: the word has three tokens in all texts together

    # What it reads is gone: it is silent. Its column alone is gone: it speaks, and nobody hears it.
    assert store.array("drop/pruned-1")[0, NEURON] == 1
    assert store.array("drop_low/pruned-1")[0, NEURON] == 1
    assert store.array("masked_in/pruned-1")[0, NEURON] == pytest.approx(1)
    assert store.array("masked_out/pruned-1")[0, NEURON] == 0
    assert store.array("drop/pruned-2")[0, NEURON] == 0
    assert store.array("masked_in/pruned-2")[0, NEURON] == 0
    assert store.array("masked_out/pruned-2")[0, NEURON] == pytest.approx(1)
    # All of the fall is its own.
    assert store.array("own_drop/pruned-1")[0, NEURON] == pytest.approx(1)
    assert store.array("upstream_drop/pruned-1")[0, NEURON] == pytest.approx(0)
    changed = store.own_of(0, NEURON)["pruned-1"]
    np.testing.assert_allclose(changed[fires], -own[fires], rtol=1e-3)
    others = np.delete(store.array("drop/pruned-1")[0], NEURON)
    assert np.nanmax(np.abs(others)) < 1e-3  # nobody else in its layer fell


def damaged_below(lm: LanguageModel) -> LanguageModel:
    """With a layer below that adds to what layer 1 reads, and layer 1 itself as it was."""
    weight_view(down_projection(decoder_layers(lm.model)[0]))[:, : NEURON + 1] = 0
    return lm


@pytest.mark.parametrize("planted", [planted_llama, planted_gpt2])
def test_damage_in_a_layer_below_is_upstream(tmp_path: Path, planted: Callable[[], LanguageModel]) -> None:
    store = run(tmp_path / "a", planted, [lambda: damaged_below(planted())], TEXTS, Options(permutations=0))
    drop, own, upstream = (store.array(f"{kind}drop/pruned-1")[1] for kind in ("", "own_", "upstream_"))
    assert np.nanmax(np.abs(drop)) > 0.01
    assert not own[np.isfinite(own)].any()
    np.testing.assert_allclose(upstream, drop, rtol=2e-3, atol=2e-3)
    assert store.tables["split"]["variants"]["pruned-1"]["layers"] == [
        {"layer": 0, "own": None},
        {"layer": 1, "own": 0},
    ]


def test_a_planted_neurons_own_token_exists() -> None:
    for planted in (planted_llama, planted_gpt2):
        lm = planted()
        assert lm.tokenizer is not None
        assert "d" in str(lm.tokenizer.convert_ids_to_tokens(own_token(lm)))
        assert torch.isfinite(lm.model(torch.tensor([[0, own_token(lm)]])).logits).all()
