"""The names that specs accept (data in `jobs`) are those in the numerics' registries."""

from dataclasses import MISSING, fields

from prunescope.evaluation import held_out
from prunescope.evaluation.catalogue import TASKS
from prunescope.evaluation.prompts import prompt_around
from prunescope.jobs import vocabulary
from prunescope.jobs.vocabulary import NO_PROMPT
from prunescope.lm.errors import BadInput
from prunescope.nsa.prompts import QUESTIONS
from prunescope.nsa.scoring import ACTIVATIONS
from prunescope.nsa.words import SOURCES
from prunescope.pruning.calibration import CALIBRATION_SETS, FILES
from prunescope.pruning.methods.protocol import Calibrated
from prunescope.pruning.methods.registry import METHODS


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
            return bool(prompt_around(task))
        except BadInput:
            return False

    assert set(vocabulary.PROMPTS) == {task for task in TASKS if goes_around(task)}


def test_tasks_that_only_a_local_file_has() -> None:
    assert set(vocabulary.LOCAL_TASKS) == {name for name, task in TASKS.items() if task.local is not None}


def test_calibration_sets() -> None:
    assert set(vocabulary.CALIBRATION_SETS) == set(CALIBRATION_SETS)


def test_calibration_files() -> None:
    from prunescope.inputs import CALIBRATION_FILES

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
