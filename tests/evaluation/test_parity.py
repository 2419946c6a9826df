"""Every task that has local rows, against lm-evaluation-harness by itself: its evaluator and its own model class."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prunescope.evaluation.accuracy import TaskResult, evaluate
from prunescope.evaluation.catalogue import TASKS
from prunescope.evaluation.harness import configuration, hub_source
from prunescope.evaluation.rows import task_rows
from prunescope.lm.loading import LanguageModel, load

ROWS, LONG_ROWS = 40, 12
LONG = {"yelp", "imdb", "pubmedqa", "boolq", "logiqa", "sciq", "race"}
"""Tasks with prompts that do not fit the model's context, or nearly: fewer rows, for the time."""
ALL = [name for name, task in TASKS.items() if task.local is None and task.shipped is None]


@pytest.fixture(scope="module")
def lm(shared: Path) -> LanguageModel:
    return load(shared / "models" / "stories260K", device="cpu")


@pytest.fixture(scope="module")
def theirs(lm: LanguageModel, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the harness says of the first rows of all tasks, given them as its definitions read them."""
    pytest.importorskip("accelerate", reason="the harness's own model class needs accelerate")
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("rows")
    found: dict[str, Any] = simple_evaluate(
        model=HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=8),
        tasks=[given(task, shared / "datasets", folder) for task in ALL],
        # The index of all its tasks would take a minute to build, and the definitions are given.
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    return found


def given(task: str, data: Path, folder: Path) -> dict[str, Any]:
    """The harness's definition of the task, with the first rows in a file for its own loader."""
    config = configuration(TASKS[task])
    rows = folder / f"{task}.jsonl"
    mapped = task_rows(TASKS[task], hub_source(config), data)[: count(task)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in mapped), encoding="utf-8")
    return {
        **config,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"rows": str(rows)}, "cache_dir": str(folder / "cache")},
        "training_split": None,
        "validation_split": None,
        "fewshot_split": None,
        "test_split": "rows",
    }


def count(task: str) -> int:
    return LONG_ROWS if task in LONG else ROWS


@pytest.mark.slow
@pytest.mark.parametrize("task", ALL)
def test_accuracy_and_log_likelihoods_are_the_harness_own(
    lm: LanguageModel, shared: Path, theirs: Mapping[str, Any], task: str
) -> None:
    ours: TaskResult = evaluate(lm, [task], data=shared / "datasets", limit=count(task))[task]
    samples = sorted(theirs["samples"][task], key=lambda sample: int(sample["doc_id"]))
    assert ours.rows == len(samples) == count(task)
    assert ours.accuracy == theirs["results"][task]["acc,none"]
    assert ours.version == str(theirs["versions"][task])
    for example, sample in zip(ours.examples, samples, strict=True):
        assert example.scores == pytest.approx([float(answer[0][0]) for answer in sample["resps"]], rel=1e-4)
        assert float(example.chosen == example.answer) == sample["acc"]
    # Long texts do not fit 512 tokens of so small a vocabulary: the cut is the harness's too.
    assert ours.truncated > 0 or task not in {"yelp", "imdb", "pubmedqa", "logiqa", "race"}


def test_no_local_task_is_left_out(shared: Path) -> None:
    """Only MedNLI has no rows at hand."""
    there = {path.stem for path in (shared / "datasets" / "eval").glob("*.jsonl")}
    assert there == set(ALL)
