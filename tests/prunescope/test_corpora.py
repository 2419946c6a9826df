"""`prunescope.corpus` and `open_corpus`: the same numbers as the stored corpus, as results that a notebook shows."""

from pathlib import Path

import pytest

import prunescope
from prunescope.corpora import COLUMNS, Corpus
from prunescope.store.corpora.documents import CORPUS_JSON
from prunescope.store.corpora.neurons import file_name
from tests.made_up_corpus import write_made_up_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "corpus"
    made.mkdir()
    write_made_up_corpus(made, ["demo", "pruned:0123456789abcdef"])
    return made


def test_a_loaded_model_and_a_variant_are_read(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from prunescope.jobs.references import DEMO_FOLDER

    dense = AutoModelForCausalLM.from_pretrained(DEMO_FOLDER, dtype="float32")
    pruned = prunescope.prune("demo", "magnitude", sparsity=0.8, output=tmp_path / "pruned")
    found = prunescope.corpus([dense, pruned], "demo", tokens=1000, layers=[3], output=tmp_path / "corpus")
    assert isinstance(found, Corpus) and found.document.layers == [3] and found.document.tokens >= 1000
    neuron = found.neuron(3, 5)
    first = neuron.highest[0]
    assert len(first.activations) == 2 and first.activations[0].activation == pytest.approx(neuron.models[0].maximum)
    again = prunescope.open_corpus(tmp_path / "corpus").neuron(3, 5)
    assert again == neuron
    shown = neuron._repr_html_() + found._repr_html_()
    assert first.token.strip() in shown and "<script" not in shown


def test_one_neuron_as_a_table(folder: Path) -> None:
    pytest.importorskip("pandas")
    neuron = prunescope.open_corpus(folder).neuron(1, 2)
    table = neuron.to_pandas()
    assert list(table.columns) == [*COLUMNS, "demo", "pruned:0123456789abcdef"]
    assert list(table["sign"]) == ["highest"] * len(neuron.highest) + ["lowest"] * len(neuron.lowest)
    assert table["demo"][0] == pytest.approx(8.8) and table["token"][0] == " staff"
    assert "L1/N2" in neuron._repr_html_() and "&lt;b&gt;" in neuron._repr_html_()


def test_a_folder_without_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(prunescope.PrunescopeError, match=r"holds no corpus: it has no corpus.json that can be read"):
        prunescope.open_corpus(tmp_path)


def test_a_neuron_that_was_not_recorded(folder: Path) -> None:
    with pytest.raises(prunescope.PrunescopeError, match="L7/N0 was not recorded"):
        prunescope.open_corpus(folder).neuron(7, 0)


def test_changed_files_are_noticed(folder: Path) -> None:
    (folder / file_name(1)).write_bytes(b"changed")
    corpus = prunescope.open_corpus(folder)
    with pytest.raises(prunescope.PrunescopeError, match="cannot be read"):
        corpus.neuron(0, 0)
    (folder / CORPUS_JSON).write_text("{}")
    with pytest.raises(prunescope.PrunescopeError, match="is not of format"):
        prunescope.open_corpus(folder)


def test_an_output_that_exists_is_refused(folder: Path) -> None:
    with pytest.raises(prunescope.PrunescopeError, match="output"):
        prunescope.corpus("demo", "demo", output=folder)
