"""A corpus's files: what was written is read, one neuron at a time, and a change of any file is noticed."""

from pathlib import Path

import numpy as np
import pytest

from prunescope.jobs.problems import Problem
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.corpora.folder import CorpusStore
from prunescope.store.corpora.lines import Lines, LineWriter
from prunescope.store.corpora.neurons import file_name
from tests.made_up_corpus import WORDS, write_made_up_corpus

ID = "c3" * 8


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    made = Artefacts(tmp_path)
    with made.staging("corpus", ID) as folder:
        write_made_up_corpus(folder, ["demo", "pruned:0123456789abcdef"])
    return made


def test_one_neuron(artefacts: Artefacts) -> None:
    store = CorpusStore.of(artefacts, ID)
    row = store.neuron(1, 1, 2)
    assert float(row["mean"]) == pytest.approx(0.1 * 2.2 * 0.75)
    assert row["highest"]["window"].tolist() == [1, 2]
    assert row["up"].tolist() == list(range(1, 21))
    found = store.windows({0, 3, -1, 99})
    assert set(found) == {0, 3}
    assert found[0].tokens == WORDS and found[0].special[:2] == [True, False]
    assert store.token_texts({2, 39}) == {2: " staff", 39: " word39"}


@pytest.mark.parametrize(("layer", "neuron"), [(2, 0), (0, 3), (-1, 0), (0, -1)])
def test_a_neuron_that_was_not_recorded(artefacts: Artefacts, layer: int, neuron: int) -> None:
    with pytest.raises(Problem, match=f"L{layer}/N{neuron} was not recorded; .* layers 0, 1 with neurons 0 to 2") as it:
        CorpusStore.of(artefacts, ID).neuron(0, layer, neuron)
    assert it.value.status == 404


def test_without_written_tokens_there_is_no_vocabulary(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    with artefacts.staging("corpus", ID) as folder:
        write_made_up_corpus(folder, ["demo"], writes=False)
    store = CorpusStore.of(artefacts, ID)
    assert store.token_texts({1}) == {}
    assert "up" not in store.neuron(0, 0, 0).dtype.names


def test_there_is_no_such_corpus(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        CorpusStore.of(Artefacts(tmp_path), ID)
    assert caught.value.status == 404


def test_a_changed_record_is_noticed_and_its_neighbours_are_read(artefacts: Artefacts) -> None:
    path = artefacts.local_path("corpus", ID)
    assert path is not None
    stored = np.load(path / file_name(0), mmap_mode="r+")
    stored[1, 1]["mean"] = 7
    stored.flush()
    store = CorpusStore.of(artefacts, ID)
    with pytest.raises(Damaged, match=r"model-0.npy is not what was written \(neuron 1\)"):
        store.neuron(0, 1, 1)
    assert store.neuron(0, 1, 2) is not None


@pytest.mark.parametrize("name", ["corpus.json", "model-0.npy", "windows.jsonl", "windows.npy", "vocabulary.jsonl"])
def test_a_truncated_file_is_noticed(artefacts: Artefacts, name: str) -> None:
    path = artefacts.local_path("corpus", ID)
    assert path is not None
    (path / name).write_bytes((path / name).read_bytes()[:40])
    with pytest.raises(Damaged):
        store = CorpusStore.of(artefacts, ID)
        store.neuron(0, 1, 2)
        store.windows({3})
        store.token_texts({39})


def test_lines_keep_any_json_value(tmp_path: Path) -> None:
    values = [None, "a\nb\u2028é", {"x": [1, 2.5]}, [], "\U0001f600"]
    with LineWriter(tmp_path, "values") as writer:
        for value in values:
            writer.add(value)
    lines = Lines(tmp_path, "values")
    assert len(lines) == 5
    assert lines.read([4, 0, 1, 2, 3]) == dict(enumerate(values))


def test_an_interrupted_writer_leaves_no_index(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), LineWriter(tmp_path, "values") as writer:
        writer.add(1)
        raise RuntimeError
    assert not (tmp_path / "values.npy").exists()
