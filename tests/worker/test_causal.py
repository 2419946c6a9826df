"""The causal stage of an attribution: its stored results, restored models, and errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prunescope.evaluation.accuracy import evaluate
from prunescope.jobs.documents import JobState
from prunescope.jobs.specs import AttributeSpec, parse_spec
from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.errors import BadInput, Cancelled
from prunescope.lm.loading import load
from prunescope.nsa.effects import effect
from prunescope.store.attributions.activations import ActivationStore
from prunescope.worker import stages
from prunescope.worker.context import Context
from prunescope.worker.parts import Parts
from tests.worker.conftest import ATTRIBUTE
from tests.worker.test_pipeline import Enqueue, Run, run  # noqa: F401

ASKED = {"task": "reviews", "limit": 6, "draws": 3, "neurons": 8}


@pytest.fixture(scope="module")
def thinned(tiny_root: Path) -> Path:
    """The tiny llama without half of its MLPs' columns, which shows in what it answers."""
    lm = load(tiny_root / "llama")
    for layer in decoder_layers(lm.model):
        weight_view(down_projection(layer))[:, ::2] = 0
    place = tiny_root / "thinned"
    lm.model.save_pretrained(place)
    assert lm.tokenizer is not None
    lm.tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def group(tmp_path: Path) -> Path:
    (tmp_path / "group").mkdir()
    return tmp_path / "group"


@pytest.fixture
def attribute(tiny_root: Path, thinned: Path, group: Path, context: Context) -> Callable[..., ActivationStore]:
    def run_stage(causal: object = ASKED, **changes: Any) -> ActivationStore:
        spec = parse_spec(
            "attribute",
            {**ATTRIBUTE, "dense": str(tiny_root / "llama"), "pruned": [str(thinned)], "causal": causal, **changes},
        )
        assert isinstance(spec, AttributeSpec)
        stages.attribute(spec, group, context)
        return ActivationStore(group)

    return run_stage


def probability(scores: list[float], answer: int) -> float:
    shares = np.exp(np.array(scores))
    return float(shares[answer] / shares.sum())


def test_every_outcome_is_kept_and_makes_the_document(
    attribute: Callable[..., ActivationStore], tiny_root: Path, thinned: Path
) -> None:
    store = attribute()
    document = store.tables["causal"]
    neurons, rows = store.array("causal_neurons")[:], store.array("causal_rows")[:]
    ranks = store.array("rank")[:]
    top = np.argsort(np.where(ranks.ravel() == 0, ranks.size + 1, ranks.ravel()), kind="stable")[:8]
    assert neurons.shape == (4, 8) and neurons[0].tolist() == top.tolist()
    assert rows.tolist() == list(range(6))
    assert (document["task"], document["rows"], document["neurons"], document["draws"]) == ("reviews", 6, 8, 3)
    assert sum(each["neurons"] for each in document["layers"]) == 8
    for name, place, lower in (("dense", tiny_root / "llama", True), ("pruned-1", thinned, False)):
        outcomes = store.array(f"causal_outcomes/{name}")[:]
        assert outcomes.shape == (5, 2, 6)
        plain = evaluate(load(place), ["reviews"], limit=6)["reviews"].examples
        assert outcomes[0, 0].tolist() == [row.chosen == row.answer for row in plain]
        np.testing.assert_allclose(
            outcomes[0, 1], [probability(row.scores, row.answer) for row in plain], rtol=1e-4, atol=1e-6
        )
        for measure, kind in enumerate(("accuracy", "probability")):
            found = effect(outcomes[:, measure], seed=0, lower=lower)
            kept = document["variants"][name][kind]
            assert kept["excess"]["value"] == pytest.approx(found.excess.value, abs=1e-9)
            assert kept["draws"] == pytest.approx(found.draws)
            assert kept["p_value"] == found.p_value


def test_outcomes_are_those_of_weights_set_by_hand(
    attribute: Callable[..., ActivationStore], tiny_root: Path, thinned: Path
) -> None:
    store = attribute()
    neurons = store.array("causal_neurons")[:]
    means = np.stack([store.array("spread/dense")[layer, :, 0] for layer in range(2)])
    for condition, group in enumerate(neurons, 1):
        held, given = load(tiny_root / "llama"), load(thinned)
        full = load(tiny_root / "llama")
        for layer in range(2):
            some = group[group // 64 == layer] % 64
            down = down_projection(decoder_layers(held.model)[layer])

            def hold(_module: nn.Module, args: tuple[Tensor], layer: int = layer, some: np.ndarray = some) -> Tensor:
                values = args[0].clone()  # [rows, tokens, neurons]; position 0 of a row is the tokenizer's BOS
                values[:, 1:, some] = torch.from_numpy(means[layer, some])
                return values

            down.register_forward_pre_hook(hold)
            own, dense = (weight_view(down_projection(decoder_layers(lm.model)[layer])) for lm in (given, full))
            own[:, some] = dense[:, some]
        for name, lm in (("dense", held), ("pruned-1", given)):
            plain = evaluate(lm, ["reviews"], limit=6)["reviews"].examples
            wanted = [probability(row.scores, row.answer) for row in plain]
            found = store.array(f"causal_outcomes/{name}")[condition, 1]
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_warm_models_are_left_as_they_were(
    attribute: Callable[..., ActivationStore], tiny_root: Path, thinned: Path, context: Context
) -> None:
    attribute()
    for place in (tiny_root / "llama", thinned):
        warm = context.models.get(place, str(place)).model
        assert not any(module._forward_pre_hooks for module in warm.modules())
        fresh = load(place).model.state_dict()
        assert all(torch.equal(value, fresh[name]) for name, value in warm.state_dict().items())


@pytest.fixture
def sentences(tmp_path: Path, context: Context) -> list[str]:
    """Local rows of SST-2 that are short enough for the tiny model's context."""
    found = [f"the {what} was bad" for what in ("room", "food", "staff", "bed", "bath", "bar")]
    (tmp_path / "eval").mkdir()
    rows = "".join(json.dumps({"sentence": sentence, "label": 0}) + "\n" for sentence in found)
    (tmp_path / "eval" / "sst2.jsonl").write_text(rows)
    context.settings = context.settings.model_copy(update={"data": tmp_path})
    return found


@pytest.mark.usefixtures("sentences")
def test_rows_that_the_neurons_were_chosen_on_are_left_out(attribute: Callable[..., ActivationStore]) -> None:
    texts = {"dataset": "sst2", "indices": [1, 3], "words": [["bad"], ["bed"]]}
    store = attribute({**ASKED, "task": "sst2", "limit": 3}, texts=texts, prompt="sst2")
    assert store.array("causal_rows")[:].tolist() == [0, 2, 4]


@pytest.mark.parametrize("prompt", ["sst2", "none"])
def test_a_given_text_that_is_a_row_is_left_out_whatever_stands_around_it(
    attribute: Callable[..., ActivationStore], sentences: list[str], prompt: str
) -> None:
    given = [{"text": sentences[2], "words": ["bad"]}]
    store = attribute({**ASKED, "task": "sst2", "limit": 3}, texts=given, prompt=prompt)
    assert store.array("causal_rows")[:].tolist() == [0, 1, 3]


def test_only_top_neurons_of_some_layers(attribute: Callable[..., ActivationStore]) -> None:
    store = attribute({**ASKED, "layers": [1]})
    assert (store.array("causal_neurons")[:] // 64 == 1).all()
    assert store.tables["causal"]["layers"] == [{"layer": 1, "neurons": 8}]


def test_progress_says_model_and_condition(attribute: Callable[..., ActivationStore], context: Context) -> None:
    attribute()
    said = [(step.stage, step.done, step.total, step.message) for step in context.said]  # type: ignore[attr-defined]
    for stage in ("ablate", "restore pruned-1"):
        own = [step for step in said if step[0] == stage]
        assert [step[1] for step in own] == sorted(step[1] for step in own)
        assert {step[2] for step in own} == {5 * 6}
        assert {"as it is", "top neurons", "random neurons, draw 3 of 3"} <= {step[3] for step in own}
        assert own[-1][3].startswith("accuracy ")


@pytest.mark.parametrize(
    ("causal", "said"),
    [
        ({**ASKED, "neurons": 65}, "65 top neurons are asked for, but of the 128 neurons to choose from at most"),
        ({**ASKED, "layers": [2]}, "causal: layer 2: this model's layers are 0 to 1"),
    ],
)
def test_what_the_model_does_not_have_is_refused_before_anything_is_written(
    attribute: Callable[..., ActivationStore], group: Path, causal: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        attribute(causal)
    assert not list(group.iterdir())


def test_a_task_whose_rows_are_all_the_attributions_own(
    attribute: Callable[..., ActivationStore], group: Path, sentences: list[str]
) -> None:
    with pytest.raises(BadInput, match="every row of sst2 is one of the attribution's own texts"):
        attribute({"task": "sst2"}, texts=[{"text": text, "words": ["bad"]} for text in sentences], prompt="sst2")
    assert not list(group.iterdir())


@pytest.mark.parametrize("stage", ["ablate", "restore pruned-1"])
def test_cancelling_leaves_no_store_and_the_weights(
    attribute: Callable[..., ActivationStore], group: Path, context: Context, thinned: Path, stage: str
) -> None:

    def check() -> None:
        # In the middle of the second condition, with neurons touched.
        if any(step.stage == stage and step.done > 6 for step in context.said):  # type: ignore[attr-defined]
            raise Cancelled

    context.check = check
    with pytest.raises(Cancelled):
        attribute()
    assert not list(group.iterdir())
    fresh = load(thinned).model.state_dict()
    warm = context.models.get(thinned, str(thinned)).model
    assert all(torch.equal(value, fresh[name]) for name, value in warm.state_dict().items())


def test_a_job_asks_for_it(parts: Parts, enqueue: Enqueue, run: Run) -> None:  # noqa: F811
    pruned = run(enqueue("prune", {"model": "llama", "method": "magnitude", "pattern": 0.5}))
    asked = {**ATTRIBUTE, "pruned": [f"pruned:{pruned.artefact_id}"], "causal": ASKED}
    job = run(enqueue("attribute", asked))
    assert job.state == JobState.SUCCEEDED, job.error
    place = parts.stores.artefacts.path("attribution", job.artefact_id)
    assert set(ActivationStore(place).tables["causal"]["variants"]) == {"dense", "pruned-1"}
    plain = enqueue("attribute", {**asked, "causal": None})
    assert plain.artefact_id != job.artefact_id
    again = enqueue("attribute", {key: value for key, value in asked.items() if key != "causal"})
    assert again.id == plain.id
