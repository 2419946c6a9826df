"""The names that specs accept are those in the numerics' registries."""

from dataclasses import asdict

import pytest

from prunescope.jobs import vocabulary


def test_methods_tasks_and_sets_are_those_of_the_numerics() -> None:
    pytest.importorskip("torch")
    from prunescope.evaluation import TASKS
    from prunescope.nsa.scoring import ACTIVATIONS
    from prunescope.nsa.words import SOURCES
    from prunescope.pruning.calibration import CALIBRATION_SETS, EXAMPLE_SETS
    from prunescope.pruning.methods import METHODS

    assert set(vocabulary.METHODS) == set(METHODS)
    assert set(vocabulary.TASKS) == set(TASKS)
    assert set(vocabulary.CALIBRATION_SETS) == set(CALIBRATION_SETS)
    assert set(vocabulary.EXAMPLE_SETS) == set(EXAMPLE_SETS)
    assert set(vocabulary.WORD_SOURCES) == set(SOURCES)
    assert set(vocabulary.ACTIVATIONS) == set(ACTIVATIONS)


def test_options_have_the_names_and_defaults_of_the_numerics() -> None:
    pytest.importorskip("torch")
    from prunescope.pruning.methods import METHODS, build

    for name, model in vocabulary.METHODS.items():
        options = model().model_dump(exclude={"name"})
        assert options == asdict(METHODS[name]()) == asdict(build(name, options))


def test_every_model_of_options_has_the_name_it_is_listed_under() -> None:
    for name, model in vocabulary.METHODS.items():
        assert model().name == name
    assert set(vocabulary.TASKS) >= vocabulary.TASKS_WITH_WORDS


def test_allocations_are_those_of_the_numerics() -> None:
    pytest.importorskip("torch")
    from prunescope.pruning.allocation import ALLOCATIONS, build_allocation

    assert set(vocabulary.ALLOCATIONS) == set(ALLOCATIONS)
    for name, model in vocabulary.ALLOCATIONS.items():
        options = model().model_dump(exclude={"name"})
        assert model().name == name
        assert options == asdict(ALLOCATIONS[name]()) == asdict(build_allocation(name, options))


@pytest.mark.parametrize("name", vocabulary.METHODS)
def test_the_first_line_of_a_methods_docstring_is_a_whole_sentence(name: str) -> None:
    """The job form shows it as the method's note."""
    assert (vocabulary.METHODS[name].__doc__ or "").partition("\n")[0].endswith(".")
