"""Every task that has local rows, against lm-evaluation-harness by itself: its evaluator and its own model class."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.accuracy import evaluate
from evaluation.catalogue import TASKS
from evaluation.harness import configuration, hub_source
from evaluation.rows import task_rows
from lm.loading import LanguageModel, load

ROWS = 15
ALL = [name for name, task in TASKS.items() if task.local is None and task.shipped is None]


@pytest.fixture(scope="module")
def lm(shared: Path) -> LanguageModel:
    return load(shared / "models" / "stories260K", device="cpu")


def harness_results(lm: LanguageModel, task: str, data: Path, cache: Path) -> dict[str, Any]:
    """What the harness says of the first rows, given them as its definition of the task reads them."""
    pytest.importorskip("accelerate", reason="the harness's own model class needs accelerate")
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    config = configuration(TASKS[task])
    rows = cache / f"{task}.jsonl"
    mapped = task_rows(TASKS[task], hub_source(config), data)[:ROWS]
    rows.write_text("".join(json.dumps(row) + "\n" for row in mapped), encoding="utf-8")
    config |= {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"rows": str(rows)}, "cache_dir": str(cache / "cache")},
        "training_split": None,
        "validation_split": None,
        "fewshot_split": None,
        "test_split": "rows",
    }
    peer = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=8)
    # The index of all its tasks would take a minute to build, and the definition is given.
    found: dict[str, Any] = simple_evaluate(
        model=peer,
        tasks=[config],
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    return found


@pytest.mark.parametrize("task", ALL)
def test_accuracy_is_the_harness_own_on_the_same_rows(
    lm: LanguageModel, shared: Path, tmp_path: Path, task: str
) -> None:
    ours = evaluate(lm, [task], data=shared / "datasets", limit=ROWS)[task]
    theirs = harness_results(lm, task, shared / "datasets", tmp_path)
    samples = sorted(theirs["samples"][task], key=lambda sample: int(sample["doc_id"]))
    assert ours.rows == len(samples) == ROWS
    assert ours.accuracy == theirs["results"][task]["acc,none"]
    assert ours.version == str(theirs["versions"][task])
    for example, sample in zip(ours.examples, samples, strict=True):
        assert example.scores == pytest.approx([float(answer[0][0]) for answer in sample["resps"]], rel=1e-4)
        assert float(example.chosen == example.answer) == sample["acc"]
    # Long texts do not fit 512 tokens of so small a vocabulary: the cut is the harness's too.
    assert ours.truncated > 0 or task not in {"yelp", "imdb", "race", "pubmedqa"}


def test_no_local_task_is_left_out(shared: Path) -> None:
    """Only MedNLI has no rows at hand."""
    there = {path.stem for path in (shared / "datasets" / "eval").glob("*.jsonl")}
    assert there == set(ALL)
