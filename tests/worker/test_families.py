"""An attribution of task rows with the default settings, from the spec to the artefact, for families of models whose
tokenizers and MLPs differ: whatever a random model would answer, every text has influential words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, PreTrainedTokenizerFast
from transformers import AutoModelForCausalLM as CausalLM

from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import AttributeSpec, parse_spec
from prunescope.nsa.preparation import Options
from prunescope.store.attributions.activations import ActivationStore
from prunescope.text.words import WordIndex
from prunescope.worker import stages
from prunescope.worker.context import Context
from prunescope.worker.models import ModelCache
from tests.models import NEURONS, tiny, tiny_tokenizer

SENTENCES = [
    f"{opening} {middle}, {end}"
    for opening in ("the room was small", "the food was bad", "an odd little film", "well-made and kind")
    for middle in ("but the staff were kind", "and not at all funny", "café music included", "it 's so dull", "sadly")
    for end in ("we would go again .", "never twice !")
]
ROWS = {
    "sst2": [{"sentence": text, "label": index % 2, "idx": index} for index, text in enumerate(SENTENCES)],
    "sciq": [
        {
            "question": f"What is {text}?",
            "correct_answer": "the room",
            "distractor1": "the food",
            "distractor2": "the staff",
            "distractor3": "the film",
            "support": "",
        }
        for text in SENTENCES
    ],
}
FAMILIES = ("gemma2", "gpt2", "opt")


def save(folder: Path, family: str, tokenizer: PreTrainedTokenizerFast, *, positions: int, pruned: bool) -> Path:
    """A tiny random model with its tokenizer; the pruned one has every second weight of its MLPs removed."""
    length = "n_positions" if family == "gpt2" else "max_position_embeddings"
    config = tiny(family).config.to_dict() | {length: positions}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CausalLM.from_config(AutoConfig.for_model(**config))
    if pruned:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.dim() == 2 and NEURONS in weight.shape and "embed" not in name:
                    weight[:, ::2] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(tmp_path: Path, family: str, task: str, *, positions: int = 2048, **changes: Any) -> ActivationStore:
    """Run the stage on the default number of rows of a task."""
    data = tmp_path / "data"
    (data / "eval").mkdir(parents=True)
    (data / "eval" / f"{task}.jsonl").write_text("\n".join(map(json.dumps, ROWS[task])) + "\n")
    tokenizer = tiny_tokenizer()
    dense, pruned = (
        str(save(tmp_path / name, family, tokenizer, positions=positions, pruned=name == "pruned"))
        for name in ("dense", "pruned")
    )
    spec = parse_spec("attribute", {"dense": dense, "pruned": [pruned], "texts": {"dataset": task}, **changes})
    assert isinstance(spec, AttributeSpec)
    assert spec.count == 40 and (spec.words.source, spec.placebo) == ("auto", Options.placebo)
    context = Context(
        settings=Settings(home=tmp_path / "home", data=data),
        models=ModelCache("cpu"),
        place_of=lambda reference: reference,
        file_of=Path,
        report=lambda progress: None,
        check=lambda: None,
    )
    folder = tmp_path / "attribution"
    folder.mkdir()
    stages.attribute(spec, folder, context)
    return ActivationStore(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_task_with_default_settings(tmp_path: Path, family: str) -> None:
    store = run(tmp_path, family, "sst2")
    check(store, "cot")
    assert store.has_split and np.isfinite(store.array("own_drop/pruned-1")).any()


def test_questions_with_default_settings(tmp_path: Path) -> None:
    check(run(tmp_path, "opt", "sciq"), "cot")


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_a_context_too_short_for_the_question_for_words(tmp_path: Path, family: str) -> None:
    """The words are then those whose removal changes the label's probability."""
    check(run(tmp_path, family, "sst2", positions=176), "occlusion")


def check(store: ActivationStore, source: str) -> None:
    """Every row is used, with words of its own text; Scores and p-values are numbers."""
    summary = store.tables["summary"]
    assert summary["left_out"] == [] and len(store.examples) == len(SENTENCES) == 40
    for example, found in zip(store.examples, summary["found"], strict=True):
        start, end = example["span"]
        assert found["source"] == source and found["words"]
        assert all(each["word"] in WordIndex(example["text"][start:end]) for each in found["words"])
        assert any(example["influential"])
    ranked = store.array("rank") > 0
    assert ranked.any() and np.isfinite(store.score[ranked]).all() and np.isfinite(store.p_value[ranked]).all()
