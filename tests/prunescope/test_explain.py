"""`prunescope.explain`: the same numbers as the command, as a result that a notebook shows."""

import pytest

import prunescope
from prunescope.explanations import COLUMNS, NEURON_COLUMNS


def test_a_loaded_model_is_explained() -> None:
    import copy

    from transformers import AutoModelForCausalLM

    from prunescope.jobs.references import DEMO_FOLDER

    dense = AutoModelForCausalLM.from_pretrained(DEMO_FOLDER, dtype="float32")
    pruned = prunescope.prune(copy.deepcopy(dense), "magnitude", sparsity=0.8)
    found = prunescope.explain(
        dense, pruned, "reviews", rows="fell", limit=30, neurons=[30], draws=2, steps=1, heads=False
    )
    assert found.name == "reviews · magnitude · 0.8" and found.folder is None
    assert found.restored(30) == next(point.restored for point in found.curves["margin"] if point.k == 30)
    with pytest.raises(KeyError):
        found.restored(31)
    shown = found._repr_html_()
    assert "share of the lost margin that the best k neurons restore" in shown and "<script" not in shown
    pandas = pytest.importorskip("pandas")
    assert list(found.to_pandas().columns) == list(COLUMNS)
    assert list(found.neurons_to_pandas().columns) == list(NEURON_COLUMNS)
    assert isinstance(found.to_pandas(), pandas.DataFrame)


def test_rows_that_nothing_broke_are_an_error_of_one_line() -> None:
    with pytest.raises(prunescope.PrunescopeError, match="is the dense model already"):
        prunescope.explain("demo", "demo", "reviews")
