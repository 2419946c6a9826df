"""The text of training examples against lm-evaluation-harness itself, and rows that are not what they should be."""

import json
import logging
from pathlib import Path

import lm_eval.tasks
import pytest
from datasets import Dataset
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from prunescope.lm.errors import BadData
from prunescope.lm.rows import Row
from prunescope.pruning.task_texts import BETWEEN, TASK_TEXTS

DEFINITIONS = {
    "arc_challenge": "arc/arc_challenge.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "rte": "glue/rte/default.yaml",
    "sst2": "glue/sst2/default.yaml",
    "wnli": "glue/wnli/default.yaml",
}
ARC = [
    {
        "id": "a",
        "question": "Which of these   rusts?",
        "choices": {"text": ["glass", "iron"], "label": ["A", "B"]},
        "answerKey": "B",
    },
    {
        "id": "b",
        "question": "How many {{legs}} has a spider?",
        "choices": {"text": ["6", "7", "8"], "label": ["1", "2", "3"]},
        "answerKey": "3",
    },
    {"id": "c", "question": "Why?\n", "choices": {"text": [" so", "no "], "label": ["A", "B"]}, "answerKey": "A"},
]
PAIRS = [
    {"sentence1": "The cup broke because it fell. ", "sentence2": "The cup fell.", "label": 1, "idx": 0},
    {"sentence1": 'Zoë said "no".', "sentence2": "100 % of them agreed", "label": 0, "idx": 1},
    {"sentence1": "It rains.", "sentence2": "It is dry", "label": 1, "idx": 2},
]
ROWS = {
    "arc_challenge": ARC,
    "arc_easy": ARC,
    "boolq": [
        {"question": "is iron heavy", "answer": True, "passage": "Iron is a metal.\nIt is heavy."},
        {"question": "is a whale a fish", "answer": False, "passage": "Whales are mammals. "},
        {"question": "is it", "answer": True, "passage": "It is."},
    ],
    "rte": PAIRS,
    "sst2": [
        {"sentence": "a great cast and a great idea ", "label": 1, "idx": 4},
        {"sentence": "badly {done}", "label": 0, "idx": 5},
        {"sentence": "fine", "label": 1, "idx": 6},
    ],
    "wnli": PAIRS,
}


class LocalRows(ConfigurableTask):
    """A harness task whose train split is given."""

    def __init__(self, name, rows):
        self.rows = [{**row, "label": int(row["answer"])} for row in rows] if name == "boolq" else rows
        config = load_yaml(Path(lm_eval.tasks.__file__).parent / DEFINITIONS[name])
        splits = {"validation_split": None, "test_split": "train", "training_split": None, "fewshot_split": "train"}
        super().__init__(config={**config, **splits, "fewshot_config": {"sampler": "first_n"}})

    def download(self, dataset_kwargs=None, **kwargs):
        self.dataset = {"train": Dataset.from_list(self.rows)}


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


def text_of(name, row):
    return TASK_TEXTS[name](Row(row, "here"))


def check(name, rows):
    """Each row as the harness shows it, and two of them before a third as its few-shot prompt has them."""
    task = LocalRows(name, rows)
    for row, doc in zip(rows, task.dataset["train"], strict=True):
        choices, target = task.doc_to_choice(doc), int(task.doc_to_target(doc))
        assert text_of(name, row) == task.doc_to_text(doc) + task.config.target_delimiter + choices[target]
    prompt = task.fewshot_context(doc=task.dataset["train"][2], num_fewshot=2)
    question = task.doc_to_text(task.dataset["train"][2])
    assert prompt == BETWEEN.join([text_of(name, rows[0]), text_of(name, rows[1]), question])


@pytest.mark.parametrize("name", TASK_TEXTS)
def test_examples_are_those_of_the_harness(name):
    check(name, ROWS[name])


@pytest.mark.parametrize("name", TASK_TEXTS)
def test_real_examples_are_those_of_the_harness(name, shared):
    lines = (shared / "datasets" / "calibration" / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    check(name, [json.loads(line) for line in lines if line][:300])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sst2", {"sentence": None}, "here: field 'sentence' is None, not a text"),
        ("sst2", {"sentence": "  "}, "here: field 'sentence' is empty"),
        ("sst2", {"label": -1}, "here: field 'label' is -1, not 0 or 1"),
        ("sst2", {"label": True}, "here: field 'label' is True, not 0 or 1"),
        ("rte", {"sentence2": 3}, "here: field 'sentence2' is 3, not a text"),
        ("boolq", {"answer": 1}, "here: field 'answer' is 1, not true or false"),
        ("arc_easy", {"answerKey": "E"}, "here: field 'answerKey' is 'E', not one of A, B"),
        ("arc_easy", {"choices": ["A", "B"]}, r"here: field 'choices' is \['A', 'B'\], not {\"text\""),
        ("arc_easy", {"choices": {"text": ["a"], "label": ["A", "B"]}}, "as many labels as texts"),
        ("arc_easy", {"choices": {"text": ["a" * 90], "label": "A"}}, r"field 'choices' is .{60}\.\.\., not"),
    ],
)
def test_rows_that_are_not_what_they_should_be(name, change, message):
    with pytest.raises(BadData, match=message):
        text_of(name, {**ROWS[name][0], **change})


def test_a_field_that_is_missing():
    with pytest.raises(BadData, match="here: field 'sentence' is missing; it has 'text', 'label'"):
        text_of("sst2", {"text": "a", "label": 1})
    with pytest.raises(BadData, match="field 'sentence' is missing; it has no fields"):
        text_of("sst2", {})
