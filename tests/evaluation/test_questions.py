"""What a model is asked of a row of each task, word for word."""

import json
from pathlib import Path

import pytest

from prunescope.evaluation.catalogue import TASKS
from prunescope.evaluation.harness import ask, configuration
from prunescope.evaluation.prompts import row_texts
from prunescope.evaluation.rows import read_rows
from prunescope.jobs.vocabulary import TASKS_WITHOUT_LABEL
from tests.evaluation.questions import ASKED, Asked

EVERY = [pytest.param(task, asked, id=f"{task}-{n}") for task, some in ASKED.items() for n, asked in enumerate(some)]


def test_every_task_is_here() -> None:
    assert list(ASKED) == list(TASKS)


@pytest.mark.parametrize(("task", "asked"), EVERY)
def test_prompt_choices_and_answer(tmp_path: Path, task: str, asked: Asked) -> None:
    file = tmp_path / f"{task}.jsonl"
    file.write_text(json.dumps(asked.row) + "\n")
    (question,) = ask(configuration(TASKS[task]), read_rows(TASKS[task], file)).questions
    prompts = (asked.prompts,) * len(asked.continuations) if isinstance(asked.prompts, str) else asked.prompts
    assert question.prompts == prompts
    assert question.continuations == asked.continuations
    assert question.answer == asked.answer
    assert len(question.choices) == len(asked.continuations)


def test_tasks_without_a_label_are_those_whose_choices_are_sentences() -> None:
    assert {task for task, (asked, *_) in ASKED.items() if not isinstance(asked.prompts, str) or not asked.prompts} == (
        TASKS_WITHOUT_LABEL
    )


@pytest.mark.parametrize(("task", "asked"), EVERY)
def test_the_text_of_an_attribution_lies_within_what_the_model_reads(tmp_path: Path, task: str, asked: Asked) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / f"{task}.jsonl").write_text(json.dumps(asked.row) + "\n")
    (text,) = row_texts(task, [0], data=tmp_path)
    assert text.text == asked.text
    whole = text.before + text.text + text.after
    if isinstance(asked.prompts, str) and asked.prompts:
        assert whole == asked.prompts
    else:  # the right choice's own sentence
        prompt = asked.prompts[asked.answer] if asked.prompts else ""
        assert whole == prompt + asked.continuations[asked.answer]
