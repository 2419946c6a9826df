"""What a spec may name (data in `jobs`) is what the numerics have."""

from dataclasses import MISSING, fields

from evaluation import held_out
from evaluation.catalogue import TASKS
from evaluation.prompts import around
from jobs import vocabulary
from jobs.vocabulary import NO_PROMPT
from lm.errors import BadInput
from nsa.prompts import QUESTIONS
from nsa.scoring import ACTIVATIONS
from nsa.words import SOURCES
from pruning.calibration import CALIBRATION_SETS, FILES
from pruning.methods.protocol import Calibrated
from pruning.methods.registry import METHODS


def test_methods_and_their_options() -> None:
    assert set(vocabulary.METHODS) == set(METHODS)
    for name, model in vocabulary.METHODS.items():
        options = {key: field.default for key, field in model.model_fields.items() if key != "name"}
        known = {field.name: field.default for field in fields(METHODS[name]) if field.default is not MISSING}
        assert options == known, name
        assert model.calibrated == issubclass(METHODS[name], Calibrated), name


def test_tasks_and_their_groups() -> None:
    assert {name: task.group for name, task in TASKS.items()} == vocabulary.TASKS
    assert NO_PROMPT not in TASKS


def test_prompts_that_go_around_any_text() -> None:
    def goes_around(task: str) -> bool:
        try:
            return bool(around(task))
        except BadInput:
            return False

    assert set(vocabulary.PROMPTS) == {task for task in TASKS if goes_around(task)}


def test_tasks_that_only_a_local_file_has() -> None:
    assert set(vocabulary.LOCAL_TASKS) == {name for name, task in TASKS.items() if task.local is not None}


def test_calibration_sets() -> None:
    assert set(vocabulary.CALIBRATION_SETS) == set(CALIBRATION_SETS)


def test_calibration_files() -> None:
    from cli.options import CALIBRATION_FILES

    assert set(CALIBRATION_FILES) == set(FILES)


def test_perplexity_sets() -> None:
    assert set(vocabulary.PERPLEXITY_SETS) == set(held_out.PERPLEXITY_SETS)
    assert set(vocabulary.PERPLEXITY_FILES) == set(held_out.FILES)


def test_word_sources() -> None:
    assert set(vocabulary.WORD_SOURCES) == set(SOURCES)


def test_every_group_of_tasks_has_a_question_for_its_words() -> None:
    assert set(vocabulary.TASKS.values()) <= set(QUESTIONS)
    assert len(QUESTIONS) == 4


def test_activations() -> None:
    assert set(vocabulary.ACTIVATIONS) == set(ACTIVATIONS)
