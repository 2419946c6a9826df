"""The whole flow over real tiny models and the real store."""

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.attention import attention_outputs
from prunescope.lm.errors import BadInput, Cancelled
from prunescope.lm.hooks import record_inputs
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.attribution import Options, Report, attribute, variant_names
from prunescope.nsa.errors import ModelsDiffer, NoInfluentialWords, NotFinite, TextsTooLong
from prunescope.nsa.texts import Text, start_of
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.writer import ActivationWriter
from tests.models import tiny, tiny_tokenizer
from tests.nsa.test_recording import DOWN

TEXTS = [
    Text("the room was small and the food was bad", "negative", ("bad", "small"), after="\nbad or kind?"),
    Text("Bad staff, but très kind food 😡", "negative", ("bad", "😡"), after="\nbad or kind?"),
    Text("the staff were kind", "positive", ("kind",), after="\nbad or kind?"),
]

FEW = Options(permutations=50)


def language_model(family: str, prune: float = 0.0) -> LanguageModel:
    model = tiny(family)
    for layer in decoder_layers(model) if prune else ():
        for module in linears(layer).values():
            weight = weight_view(module)
            weight[weight.abs() <= weight.abs().flatten().quantile(prune)] = 0
    return LanguageModel(model, tiny_tokenizer(), f"{family}-{prune}", torch.float32, torch.device("cpu"))


def run(
    path: Path,
    dense: Callable[[], LanguageModel],
    pruned: list[Callable[[], LanguageModel]],
    texts: list[Text] = TEXTS,
    options: Options = FEW,
    report: Report = lambda stage, done, total, unit, message="": None,
    weights: Callable[[], LanguageModel] | None = None,
) -> ActivationStore:
    writers: list[ActivationWriter] = []

    def open_archive(examples: list[dict[str, Any]], layers: int, neurons: int) -> ActivationWriter:
        names = variant_names(len(pruned))
        writers.append(
            ActivationWriter(
                path,
                spec={"seed": 0},
                variants=names,
                models=names,
                labels=names,
                examples=examples,
                layers=layers,
                neurons=neurons,
            )
        )
        return writers[0]

    try:
        result = attribute(dense, pruned, texts, options, open_archive, report, weights)
        writers[0].finish(result.arrays, result.tables)
    finally:
        for writer in writers:
            writer.__exit__(None, None, None)
    return ActivationStore(path)


def plain_activations(lm: LanguageModel, family: str, text: str) -> np.ndarray:
    """[layers, neurons, tokens] of one text by hooks of PyTorch's own."""
    seen: list[torch.Tensor] = []
    handles = [
        lm.model.get_submodule(DOWN[family].format(layer)).register_forward_pre_hook(
            lambda _module, args: seen.append(args[0].reshape(-1, 64).T)
        )
        for layer in range(2)
    ]
    assert lm.tokenizer is not None
    lm.model(torch.tensor([lm.tokenizer(text)["input_ids"]]))
    for handle in handles:
        handle.remove()
    return torch.stack(seen).numpy()


@pytest.mark.parametrize("family", ["llama", "opt", "gpt2", "gpt_neox", "phi3"])  # phi3: gate and up in one matrix
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_everything_kept_equals_brute_force(tmp_path: Path, family: str, activation: str) -> None:
    store = run(
        tmp_path / "a",
        lambda: language_model(family),
        [lambda: language_model(family, 0.5), lambda: language_model(family)],
        options=Options(permutations=50, activation=activation),
    )
    change = {"relu": lambda x: np.maximum(x, 0), "abs": np.abs}[activation]
    means: dict[str, np.ndarray] = {}
    for variant, prune in (("dense", 0.0), ("pruned-1", 0.5), ("pruned-2", 0.0)):
        lm = language_model(family, prune)
        expected = np.concatenate([plain_activations(lm, family, text.prompt) for text in TEXTS], axis=2)
        kept = np.stack([store.layer(layer, range(64))[variant] for layer in range(2)])
        np.testing.assert_allclose(kept, expected, rtol=1e-3, atol=2e-4 * np.abs(expected).max())
        place = [row["word"] for row in store.tables["words"]].index("bad")
        tokens = [
            span.start + position
            for example, span in zip(store.examples, store.spans, strict=True)
            for match in example["words"]
            if match["word"].lower() == "bad"
            for position in match["positions"]
        ]
        means[variant] = change(kept.astype(np.float64))[:, :, tokens].mean(2)
        words = np.stack([store.words_of(layer, 5)[variant][place] for layer in range(2)])
        np.testing.assert_allclose(words, means[variant][:, 5], rtol=1e-5, atol=1e-7)

    dense = change(np.stack([store.layer(layer, range(64))["dense"] for layer in range(2)]).astype(np.float64))
    influential = np.array([flag for example in store.examples for flag in example["influential"]])
    special = np.array([flag for example in store.examples for flag in example["special"]])
    below = dense[:, :, ~special].sum(2)
    ranked = (below >= np.quantile(below, 0.05, axis=1, keepdims=True)) & (below > 0)
    score = np.where(ranked, dense[:, :, influential].sum(2) / np.where(below > 0, below, 1), np.nan)
    np.testing.assert_allclose(store.score, score, atol=1e-5)
    assert np.array_equal(np.isnan(store.p_value), np.isnan(store.score))
    best = np.unravel_index(np.nanargmax(score), score.shape)
    assert store.array("rank")[best] == 1

    matched = store.array("word") == place
    assert matched.any()
    with np.errstate(divide="ignore", invalid="ignore"):
        drop = 1 - means["pruned-1"] / means["dense"]
    np.testing.assert_allclose(store.array("drop/pruned-1")[matched], drop[matched], rtol=1e-4, atol=1e-4)
    assert np.nanmax(np.abs(store.array("drop/pruned-2"))) == 0
    assert store.array("masked_in/pruned-1").mean() == pytest.approx(0.5, abs=0.02)
    assert store.array("masked_out/pruned-2").max() == 0

    assert store.tables["split"]["missing"] == []
    assert store.tables["split"]["variants"]["pruned-2"]["top"]["drop"] == 0
    for name in ("pruned-1", "pruned-2"):
        both = sum(store.array(f"{kind}_drop/{name}") for kind in ("own", "upstream"))
        np.testing.assert_allclose(both, store.array(f"drop/{name}"), rtol=2e-3, atol=2e-3)
    assert not any(store.own_of(layer, neuron)["pruned-2"].any() for layer in range(2) for neuron in range(64))
    json.dumps(store.tables, allow_nan=False)


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_heads_are_among_the_writers(tmp_path: Path, family: str) -> None:
    """What the heads of layer 0 write is read by the MLP of the same layer, but not in GPT-NeoX's parallel layers."""
    store = run(tmp_path / "a", lambda: language_model(family), [lambda: language_model(family, 0.5)])
    assert store.tables["split"]["heads"] == 4
    lm = language_model(family)
    output, _ = attention_outputs(lm.model)
    seen: list[torch.Tensor] = []
    assert lm.tokenizer is not None
    with torch.no_grad(), record_inputs({0: output[0]}, lambda _key, values: seen.append(values[0])):
        for text in TEXTS:
            lm.model(torch.tensor([lm.tokenizer(text.prompt)["input_ids"]]))
    flags = np.concatenate([example["influential"] for example in store.examples]) & ~store.sinks
    mean = torch.cat(seen)[torch.from_numpy(flags)].mean(0)
    by_head = (weight_view(output[0]) * mean).reshape(32, 4, 8).sum(2).numpy()
    if family == "gpt_neox":
        assert (store.array("writers")[0] == -1).all()
    else:
        order = np.argsort(-np.abs(by_head), axis=1)
        assert np.array_equal(store.array("writers")[0, :, :4], 2 * 64 + order)
        expected = np.take_along_axis(by_head, order, 1)
        np.testing.assert_allclose(store.array("writer_sizes")[0, :, :4], expected, rtol=1e-3, atol=1e-6)
        assert (store.array("writers")[0, :, 4] == -1).all()
    assert {number >= 2 * 64 for number in store.array("writers")[1].flat} == {True, False}


def test_models_of_a_16_bit_type_are_split_without_their_rounding(tmp_path: Path) -> None:
    """Both models are the same except for one neuron of layer 1; only this neuron has an own part, and no other layer
    or neuron any change."""

    def half(changed: bool) -> LanguageModel:
        lm = language_model("llama")
        model = lm.model.to(torch.bfloat16)
        if changed:
            model.get_submodule("model.layers.1.mlp.up_proj").weight[7] = 0
        return LanguageModel(model, lm.tokenizer, "half", torch.bfloat16, lm.device)

    store = run(tmp_path / "a", lambda: half(False), [lambda: half(True)], options=Options(placebo=0, permutations=0))
    assert store.tables["split"]["missing"] == []
    for layer in range(2):
        for neuron in range(64):
            own = store.own_of(layer, neuron)["pruned-1"]
            change = np.subtract(*(store.neuron(layer, neuron)[name] for name in ("pruned-1", "dense")))
            if (layer, neuron) == (1, 7):
                np.testing.assert_allclose(own, change, rtol=2e-2, atol=1e-4)
            else:
                assert not own.any() and not change.any()


def test_only_some_layers(tmp_path: Path) -> None:
    dense = lambda: language_model("llama")  # noqa: E731
    store = run(tmp_path / "a", dense, [dense], options=Options(layers=(1,), placebo=0, permutations=0))
    assert store.tables["layers"] == [1]
    assert np.isnan(store.score[0]).all()
    assert np.isfinite(store.score[1]).any()
    assert np.isnan(store.p_value).all()


def test_one_model_in_memory_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[Any]] = []

    def load(prune: float) -> Callable[[], LanguageModel]:
        def loaded() -> LanguageModel:
            gc.collect()
            assert not [model for model in alive if model() is not None]
            lm = language_model("llama", prune)
            alive.append(weakref.ref(lm.model))
            return lm

        return loaded

    run(tmp_path / "a", load(0.0), [load(0.3), load(0.6)], weights=lambda: language_model("llama"))
    assert len(alive) == 3


def test_the_same_seed_gives_the_same_tables(tmp_path: Path) -> None:
    stores = [
        run(tmp_path / name, lambda: language_model("opt"), [lambda: language_model("opt", 0.5)]) for name in "ab"
    ]
    assert stores[0].tables == stores[1].tables
    assert np.array_equal(stores[0].p_value, stores[1].p_value, equal_nan=True)


def test_stopping_leaves_nothing_behind(tmp_path: Path) -> None:
    stages: list[str] = []

    def stop(stage: str, done: int, total: int, unit: str, message: str = "") -> None:
        stages.append(stage)
        if stage == "record pruned-1":
            raise Cancelled

    with pytest.raises(Cancelled):
        run(tmp_path / "a", lambda: language_model("llama"), [lambda: language_model("llama")], report=stop)
    assert list(dict.fromkeys(stages)) == ["words", "record dense", "score", "record pruned-1"]
    assert list(tmp_path.iterdir()) == []


def nan_model() -> LanguageModel:
    lm = language_model("opt")
    lm.model.get_submodule("model.decoder.layers.1.fc1").bias[7] = float("nan")
    return lm


def other_tokenizer() -> LanguageModel:
    lm = language_model("llama")
    assert lm.tokenizer is not None
    lm.tokenizer.add_tokens(["room"])
    return lm


@pytest.mark.parametrize(
    ("dense", "pruned", "texts", "options", "error", "message"),
    [
        ("opt", nan_model, TEXTS, Options(), NotFinite, "opt-0.0: layer 1, neuron 7"),
        ("llama", other_tokenizer, TEXTS, Options(), ModelsDiffer, "tokenises text 0 differently"),
        ("llama", None, [Text("bad " * 200, words=("bad",))], Options(), TextsTooLong, "all 1 texts"),
        ("llama", None, [Text("bad " * 30, words=("bad",))], Options(source="cot"), TextsTooLong, "too long to ask"),
        (
            "llama",
            None,
            [Text("bad " * 100, label="kind")],
            Options(source="occlusion"),
            TextsTooLong,
            "too long to ask",
        ),
        ("llama", None, [Text("bad")], Options(), NoInfluentialWords, "no influential word"),
        ("llama", None, TEXTS, Options(layers=(0, 2)), BadInput, "layer 2: this model's layers are 0 to 1"),
        ("llama", None, TEXTS, Options(layers=()), BadInput, "layers"),
        ("llama", None, TEXTS, Options(permutations=-1), BadInput, "permutations -1"),
        ("llama", None, TEXTS, Options(activation="gelu"), BadInput, "'gelu' is unknown"),
        ("llama", None, TEXTS, Options(source="guess"), BadInput, "'guess' is unknown"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    tmp_path: Path,
    dense: str,
    pruned: Callable[[], LanguageModel] | None,
    texts: list[Text],
    options: Options,
    error: type[Exception],
    message: str | None,
) -> None:
    with pytest.raises(error, match=message):
        run(tmp_path / "a", lambda: language_model(dense), [pruned or (lambda: language_model(dense))], texts, options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    def shorter() -> LanguageModel:
        lm = language_model("llama")
        lm.model.model.layers = lm.model.model.layers[:1]
        lm.model.config.num_hidden_layers = 1
        return lm

    with pytest.raises(ModelsDiffer, match="has 1 layer of 64 neurons and width 32, the dense model 2 layers of 64"):
        run(tmp_path / "a", lambda: language_model("llama"), [shorter])


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ({"intermediate_size": 48}, "2 layers of 48 neurons and width 32"),
        ({"hidden_size": 16}, "2 layers of 64 neurons and width 16"),
    ],
)
def test_a_model_of_another_width_is_refused(tmp_path: Path, size: dict[str, int], found: str) -> None:
    def other() -> LanguageModel:
        config = tiny("llama").config.to_dict() | size | {"head_dim": None}
        lm = language_model("llama")
        model = LlamaForCausalLM(type(lm.model.config)(**config)).eval().requires_grad_(False)
        return LanguageModel(model, lm.tokenizer, "other", lm.dtype, lm.device)

    with pytest.raises(ModelsDiffer, match=f"has {found}, the dense model 2 layers of 64 neurons and width 32"):
        run(tmp_path / "a", lambda: language_model("llama"), [other])
    assert list(tmp_path.iterdir()) == []


def nan_at_layer_0() -> LanguageModel:
    lm = language_model("llama")
    lm.model.get_submodule("model.layers.0.mlp.up_proj").weight[3, 0] = float("nan")
    return lm


def too_large() -> LanguageModel:
    lm = language_model("llama")
    lm.model.get_submodule("model.layers.1.mlp.up_proj").weight[9] *= 1e7
    return lm


@pytest.mark.parametrize(
    ("wrong", "said"), [(nan_at_layer_0, "layer 0, neuron 3.*NaN"), (too_large, "layer 1, neuron 9.*65504")]
)
@pytest.mark.parametrize("dense_too", [True, False])
def test_a_value_that_cannot_be_kept_leaves_nothing_behind(
    tmp_path: Path, wrong: Callable[[], LanguageModel], said: str, dense_too: bool
) -> None:
    dense = wrong if dense_too else lambda: language_model("llama")
    with pytest.raises(NotFinite, match=said):
        run(tmp_path / "a", dense, [wrong])
    assert list(tmp_path.iterdir()) == []


def test_no_influential_word_survives(tmp_path: Path) -> None:
    """The model names only words that no text has; what it named is told."""
    tokenizer = tiny_tokenizer()

    def scripted() -> LanguageModel:
        model = Scripted(tiny("llama").config).eval().requires_grad_(False)
        model.config.max_position_embeddings = 4096
        model.script = tuple(tokenizer(" [awful, dull] and more", add_special_tokens=False)["input_ids"])
        return LanguageModel(model, tokenizer, "scripted", torch.float32, torch.device("cpu"))

    with pytest.raises(NoInfluentialWords) as raised:
        run(tmp_path / "a", scripted, [], [Text("the food was bad"), Text("kind staff")], Options(source="cot-free"))
    assert str(raised.value) == (
        "no influential word is left in any of 2 texts; the dense model answered “[awful, dull]”, “[awful, dull]”; "
        "named, but in no text: “awful”, “dull”: "
        "give words yourself (`words` of each text), or take another source of words"
    )
    assert [(each.text, each.answer) for each in raised.value.answers] == [
        ("the food was bad", " [awful, dull]"),
        ("kind staff", " [awful, dull]"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_variant_without_a_tokenizer_takes_the_dense_models(tmp_path: Path) -> None:
    def bare() -> LanguageModel:
        lm = language_model("llama", 0.5)
        return LanguageModel(lm.model, None, lm.reference, lm.dtype, lm.device)

    assert run(tmp_path / "a", lambda: language_model("llama"), [bare]).variants == ["dense", "pruned-1"]
    with pytest.raises(BadInput, match="has no tokenizer"):
        run(tmp_path / "b", bare, [])


class Scripted(LlamaForCausalLM):  # type: ignore[misc]
    """A tiny model that answers every question with the same tokens."""

    script: tuple[int, ...] = ()
    question = 0

    def forward(self, input_ids: Any, past_key_values: Any = None, **options: Any) -> Any:
        output = super().forward(input_ids, past_key_values=past_key_values, **options)
        cache = output.past_key_values
        if cache is not None and past_key_values is None:
            self.question = input_ids.shape[1]
        read = input_ids.shape[1] if cache is None else cache.get_seq_length()
        output.logits[0, -1] = 0
        output.logits[0, -1, self.script[read - self.question]] = 1
        return output


def test_words_of_an_answer_are_used_dropped_or_the_text_left_out(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    texts = [Text("the food was Bad"), Text("the food was bad but the staff were kind " * 110)]
    long = len(tokenizer(texts[1].text)["input_ids"])

    def scripted() -> LanguageModel:
        model = Scripted(tiny("llama").config).eval().requires_grad_(False)
        model.config.max_position_embeddings = long + 10  # fits the text, but no question about it
        model.script = tuple(tokenizer(" [bad, awful] and more", add_special_tokens=False)["input_ids"])
        return LanguageModel(model, tokenizer, "scripted", torch.float32, torch.device("cpu"))

    store = run(tmp_path / "a", scripted, [], texts, Options(source="cot-free", permutations=0))
    summary = store.tables["summary"]
    assert summary["left_out"] == [
        {
            "text": 1,
            "reason": "asking for its influential words takes more than the model's context",
            "start": start_of(texts[1].text),
        }
    ]
    assert summary["dropped"] == [{"text": 0, "word": "awful"}]
    assert summary["answers"] == [{"text": 0, "answer": " [bad, awful]"}]
    assert [(example["index"], [match["word"] for match in example["words"]]) for example in store.examples] == [
        (0, ["bad"])
    ]


def test_a_variant_that_lacks_a_token_is_refused(tmp_path: Path) -> None:
    def smaller() -> LanguageModel:
        lm = language_model("llama")
        lm.model.resize_token_embeddings(100)
        return LanguageModel(lm.model, None, lm.reference, lm.dtype, lm.device)

    with pytest.raises(ModelsDiffer, match="has no token"):
        run(tmp_path / "a", lambda: language_model("llama"), [smaller])
