"""The stages: the files that they write are the results of the numerics."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prunescope.evaluation.accuracy import evaluate as measure
from prunescope.evaluation.held_out import held_out_windows
from prunescope.evaluation.perplexity import perplexity
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, parse_spec
from prunescope.lm.architecture import decoder_layers, down_projection, linears, weight_view
from prunescope.lm.errors import BadData, BadPattern, BadText, Cancelled
from prunescope.lm.loading import load
from prunescope.pruning.calibration import calibration_windows
from prunescope.pruning.patterns import NofM
from prunescope.pruning.walk import prune as walk
from prunescope.store.attributions.activations import ActivationStore
from prunescope.worker import stages
from prunescope.worker.context import Context
from tests.worker.conftest import ATTRIBUTE, PRUNE, TEXT


def prune_spec(root: Path, **changes: Any) -> PruneSpec:
    calibration = {**PRUNE["calibration"], "file": str(root / "text.jsonl")}
    spec = parse_spec("prune", {**PRUNE, "model": str(root / "llama"), "calibration": calibration, **changes})
    assert isinstance(spec, PruneSpec)
    return spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def test_a_pruned_model_is_what_the_walk_gives_in_the_checkpoints_type(
    tiny_root: Path, folder: Path, context: Context
) -> None:
    record = stages.prune(prune_spec(tiny_root), folder, context)

    own = load(tiny_root / "llama")
    calibration = calibration_windows(
        tiny_root / "text.jsonl", own.tokenizer, samples=4, seqlen=16, seed=0, context=128
    )
    walk(own.model, "wanda", NofM(2, 4), calibration.windows)
    saved = load(folder)
    assert saved.dtype == torch.float16
    assert saved.tokenizer is not None
    for made, wanted in zip(decoder_layers(saved.model), decoder_layers(own.model), strict=True):
        for name, module in linears(made).items():
            kept = weight_view(module)
            assert torch.equal(kept, weight_view(linears(wanted)[name]).half().float())
            assert int((kept.reshape(len(kept), -1, 4) != 0).sum(-1).max()) <= 2
    assert json.loads((folder / "pruning.json").read_text()) == record
    assert record["sparsity"] == 0.5
    assert record["calibration"]["sha256"] == calibration.sha256
    assert record["label"] == "wanda · text.jsonl 4x16 · 2:4"
    assert {matrix["name"] for matrix in record["layers"][1]["matrices"]} == set(linears(decoder_layers(own.model)[1]))
    assert record["saved_dtype"] == "float16" and record["dtype"] == "float32"


def test_the_weights_are_readable_like_every_other_file(tiny_root: Path, folder: Path, context: Context) -> None:
    stages.prune(prune_spec(tiny_root, method="magnitude", pattern=0.5), folder, context)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_a_walk_is_cancelled_within_a_layer(tiny_root: Path, folder: Path, context: Context) -> None:
    layers: list[int] = []

    def check() -> None:
        if any(step.stage == "prune" and step.done for step in context.said):  # type: ignore[attr-defined]
            raise Cancelled

    context.check = check
    context.report = lambda step: (context.said.append(step), layers.append(step.done))  # type: ignore
    with pytest.raises(Cancelled):
        stages.prune(prune_spec(tiny_root), folder, context)
    assert max(layers) == 1
    assert not list(folder.iterdir())


def test_columns_that_m_does_not_divide(tiny_root: Path, folder: Path, context: Context) -> None:
    with pytest.raises(BadPattern, match="32 columns cannot be cut into groups of 5"):
        stages.prune(prune_spec(tiny_root, pattern="2:5"), folder, context)
    assert not list(folder.iterdir())


def test_an_evaluation_keeps_every_example(tiny_root: Path, folder: Path, context: Context) -> None:
    spec = parse_spec("evaluate", {"model": str(tiny_root / "llama"), "tasks": ["reviews"], "limit": 5})
    assert isinstance(spec, EvaluateSpec)
    document = stages.evaluate(spec, folder, context)
    wanted = measure(load(tiny_root / "llama"), ["reviews"], limit=5)["reviews"]
    kept = json.loads((folder / "evaluation.json").read_text())
    assert kept == json.loads(json.dumps(document))
    assert kept["tasks"]["reviews"]["accuracy"] == wanted.accuracy
    assert [row["scores"] for row in kept["tasks"]["reviews"]["examples"]] == [row.scores for row in wanted.examples]
    assert [step.done for step in context.said if step.stage == "reviews"] == [0, 5, 5]  # type: ignore[attr-defined]
    assert context.said[-1].message.startswith("accuracy ")  # type: ignore[attr-defined]
    assert kept["perplexity"] == {}


def test_perplexity_stands_beside_the_tasks(tiny_root: Path, folder: Path, context: Context) -> None:
    asked = {"datasets": ["demo", str(tiny_root / "text.jsonl")], "seqlen": 32, "windows": 5}
    spec = parse_spec(
        "evaluate", {"model": str(tiny_root / "llama"), "tasks": ["reviews"], "limit": 3, "perplexity": asked}
    )
    assert isinstance(spec, EvaluateSpec)
    stages.evaluate(spec, folder, context)
    kept = json.loads((folder / "evaluation.json").read_text())
    assert list(kept["tasks"]) == ["reviews"] and list(kept["perplexity"]) == asked["datasets"]
    lm = load(tiny_root / "llama")
    for name, found in kept["perplexity"].items():
        text = held_out_windows(lm, name, seqlen=32, windows=5)
        assert found == json.loads(
            json.dumps(
                {
                    **asdict(perplexity(lm.model, text.windows)),
                    "bos": True,  # its tokenizer puts one before a text
                    "source": text.source,
                    "sha256": text.sha256,
                }
            )
        )
        assert (found["windows"], found["seqlen"], found["tokens"]) == (5, 32, 155)
    said = [(step.stage, step.done, step.total) for step in context.said]  # type: ignore[attr-defined]
    assert ("perplexity on text.jsonl", 0, 5) in said and ("perplexity on text.jsonl", 5, 5) in said


def test_a_text_that_is_too_short_is_said_before_a_task_is_scored(tiny_root: Path, context: Context) -> None:
    asked = {"datasets": [str(tiny_root / "short.txt")], "seqlen": 100}
    (tiny_root / "short.txt").write_text("small")
    spec = parse_spec("evaluate", {"model": str(tiny_root / "llama"), "tasks": ["reviews"], "perplexity": asked})
    assert isinstance(spec, EvaluateSpec)
    with pytest.raises(BadData, match=r"tokens, fewer than one window of 100"):
        stages.evaluate(spec, None, context)
    assert "reviews" not in [step.stage for step in context.said]  # type: ignore[attr-defined]


def test_rows_that_were_cut_are_said(tiny_root: Path, context: Context, tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    rows = [{"sentence": "so " * times + "bad", "label": 0} for times in (1, 300)]
    (tmp_path / "eval" / "sst2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    context.settings = context.settings.model_copy(update={"data": tmp_path})
    spec = EvaluateSpec(model=str(tiny_root / "llama"), tasks=("sst2",))
    document = stages.evaluate(spec, None, context)
    assert document["tasks"]["sst2"]["truncated"] == 1 and document["context"] == 128
    last = [step for step in context.said if step.stage == "sst2"][-1]  # type: ignore[attr-defined]
    assert (last.done, last.total) == (2, 2)
    assert last.message.endswith("%; 1 row lost the beginning of a prompt longer than 128 tokens")


def test_an_attribution_holds_the_raw_activations(tiny_root: Path, folder: Path, context: Context) -> None:
    pruned = folder / "pruned"
    pruned.mkdir()
    stages.prune(prune_spec(tiny_root), pruned, context)
    spec = parse_spec("attribute", {**ATTRIBUTE, "dense": str(tiny_root / "llama"), "pruned": [str(pruned)]})
    assert isinstance(spec, AttributeSpec)
    group = folder / "group"
    group.mkdir()
    summary = stages.attribute(spec, group, context)

    store = ActivationStore(group)
    assert store.variants == ["dense", "pruned-1"]
    assert store.models == [str(tiny_root / "llama"), str(pruned)]
    assert store.labels == ["llama", "wanda · text.jsonl 4x16 · 2:4"]
    assert store.spec["words"] == {"source": "manual"}
    assert summary["influential_tokens"] > 0
    for variant, place in (("dense", tiny_root / "llama"), ("pruned-1", pruned)):
        assert np.array_equal(store.neuron(1, 7)[variant], plain_hook(place, store.examples[0]["token_ids"], 1, 7))


def plain_hook(place: Path, ids: list[int], layer: int, neuron: int) -> Any:
    """The activation with nothing but a forward hook."""
    seen: list[torch.Tensor] = []
    model = load(place).model
    handle = down_projection(decoder_layers(model)[layer]).register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0])
    )
    with torch.no_grad():
        model(torch.tensor([ids]))
    handle.remove()
    return seen[0][0, :, neuron].half().float().numpy()


def test_a_tasks_prompt_stands_around_its_texts(context: Context) -> None:
    spec = parse_spec("attribute", {"dense": "a/b", "pruned": ["c/d"], "texts": {"dataset": "reviews", "count": 3}})
    assert isinstance(spec, AttributeSpec)
    texts = stages.texts_of(spec, context)
    assert len(texts) == 3 and all(text.words for text in texts)
    assert all(text.prompt.endswith("Answer:") and text.text in text.prompt for text in texts)
    assert {text.group for text in texts} == {"sentiment"}
    bare = stages.texts_of(spec.model_copy(update={"prompt": "none"}), context)
    assert [text.prompt for text in bare] == [text.text for text in texts]


def test_the_rows_that_an_evaluation_names_are_the_texts_it_kept(tiny_root: Path, context: Context) -> None:
    spec = EvaluateSpec(model=str(tiny_root / "llama"), tasks=("reviews",), limit=6)
    kept = stages.evaluate(spec, None, context)["tasks"]["reviews"]["examples"]
    asked = parse_spec(
        "attribute", {"dense": "a/b", "pruned": ["c/d"], "texts": {"dataset": "reviews", "indices": [4, 0, 5]}}
    )
    assert isinstance(asked, AttributeSpec)
    texts = stages.texts_of(asked, context)
    assert [text.prompt for text in texts] == [kept[index]["text"] for index in (4, 0, 5)]
    assert [text.label for text in texts] == [kept[i]["choices"][kept[i]["answer"]] for i in (4, 0, 5)]
    assert asked.words.source == "manual" and all(text.words for text in texts)


def test_a_word_that_is_not_in_the_text(tiny_root: Path, folder: Path, context: Context) -> None:
    given = {"text": TEXT, "words": ["bad"]}
    spec = AttributeSpec.model_validate(
        {**ATTRIBUTE, "pruned": ["x/y"], "dense": str(tiny_root / "llama"), "texts": [given]}
    )
    texts = (spec.texts[0].model_copy(update={"words": ("terrible",)}),)  # type: ignore[index]
    with pytest.raises(BadText, match="'terrible' is not in the text"):
        stages.attribute(spec.model_copy(update={"texts": texts}), folder, context)
    assert not list(folder.iterdir())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_nothing_is_left_where_no_text_can_be_used(tiny_root: Path, folder: Path, context: Context) -> None:
    document = {**ATTRIBUTE, "pruned": ["x/y"], "dense": str(tiny_root / "llama"), "texts": [TEXT], "words": "cot"}
    with pytest.raises(BadText, match="too long"):
        stages.attribute(AttributeSpec.model_validate(document), folder, context)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("reference", "wanted"), [("meta-llama/Llama-2-7b-hf", "Llama-2-7b-hf"), ("demo", "demo"), ("/models/x/", "x")]
)
def test_a_dense_model_is_called_by_its_name(reference: str, wanted: str) -> None:
    assert stages.label(reference, reference) == wanted


def test_a_record_of_another_program_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pruning.json").write_text('{"spec": {"method": "ours"}}')
    assert stages.label("/models/theirs", tmp_path) == "theirs"
