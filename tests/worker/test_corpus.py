"""The stage corpus: its artefact holds what the numerics give; a job of it ends with a record, and bad texts fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.specs import CorpusSpec, parse_spec
from prunescope.lm.errors import BadData, Cancelled
from prunescope.lm.loading import load
from prunescope.nsa.corpus.sampling import QUANTILES, draw
from prunescope.nsa.corpus.stream import reading_order, stream
from prunescope.nsa.corpus.windows import cut_windows
from prunescope.nsa.corpus.writes import WRITTEN, Writer
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.corpora import neurons
from prunescope.store.corpora.folder import CorpusStore
from prunescope.worker.context import Context
from prunescope.worker.corpus import corpus
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from prunescope.worker.pipeline import run
from tests.worker.conftest import TEXT


def spec_of(root: Path, **changes: Any) -> CorpusSpec:
    lines = [json.dumps({"text": f"{TEXT} {number}. " * 4}) for number in range(30)]
    (root / "corpus.jsonl").write_text("\n".join(lines))
    (root / "short.txt").write_text("only a few words")
    document = {"models": [str(root / "llama")], "dataset": str(root / "corpus.jsonl"), "tokens": 1200, "seqlen": 40}
    spec = parse_spec("corpus", {**document, "examples": 3, **changes})
    assert isinstance(spec, CorpusSpec)
    return spec


def test_the_store_repeats_the_constants_of_the_numerics() -> None:
    assert neurons.QUANTILES == QUANTILES
    assert neurons.WRITTEN == WRITTEN


def test_the_artefact_holds_what_the_numerics_give(tiny_root: Path, tmp_path: Path, context: Context) -> None:
    spec = spec_of(tiny_root)
    artefacts = Artefacts(tmp_path)
    with artefacts.staging("corpus", "c3" * 8) as folder:
        document = corpus(spec, folder, context)
    lm = load(tiny_root / "llama")
    texts = [json.loads(line)["text"] for line in (tiny_root / "corpus.jsonl").read_text().splitlines()]
    assert lm.tokenizer is not None
    windows = cut_windows(lm.tokenizer, texts, tokens=1200, seqlen=40, seed=0)
    found = stream(lm.model, windows, draw(windows, reading_order(windows), 0), layers=[0, 1], examples=3)
    written = Writer(lm.model, np.ones(300, dtype=bool)).layer(1)
    store = CorpusStore.of(artefacts, "c3" * 8)
    assert store.document == document
    assert (document.tokens, document.windows, document.texts) == (windows.tokens, len(windows.ends), windows.texts)
    assert document.bos and document.seqlen == 40 and document.layers == [0, 1]
    row = store.neuron(0, 1, 5)
    assert float(row["mean"]) == found.mean[1, 5] and float(row["density"]) == found.density[1, 5]
    np.testing.assert_array_equal(row["quantiles"], found.quantiles[1, :, 5])
    np.testing.assert_array_equal(row["highest"]["value"], found.highest.values[1, :, 5])
    np.testing.assert_array_equal(row["highest"]["here"], found.highest.values[1, :, 5])
    np.testing.assert_array_equal(row["lowest"]["window"], found.lowest.windows[1, :, 5])
    np.testing.assert_array_equal(row["up"], written.up[5])
    first = int(row["highest"]["window"][0])
    ids = windows.ids[windows.starts[first] : windows.ends[first]].tolist()
    window = store.windows({first})[first]
    assert "".join(window.tokens[1:]) == lm.tokenizer.decode(ids[1:], clean_up_tokenization_spaces=False)


def test_running_text_and_the_demo_set(tiny_root: Path, tmp_path: Path, context: Context) -> None:
    (tiny_root / "book.txt").write_text(f"{TEXT}. " * 400)
    for index, dataset in enumerate((str(tiny_root / "book.txt"), "demo")):
        folder = tmp_path / str(index)
        folder.mkdir()
        assert corpus(spec_of(tiny_root, dataset=dataset, writes=False), folder, context).tokens >= 1200
        assert not (folder / "vocabulary.jsonl").exists()


def test_too_little_text_is_refused(tiny_root: Path, tmp_path: Path, context: Context) -> None:
    with pytest.raises(BadData, match=r"the text has \d+ tokens; a corpus needs at least 1,000: give more text"):
        corpus(spec_of(tiny_root, dataset=str(tiny_root / "short.txt")), tmp_path, context)


def test_a_missing_file_is_refused(tiny_root: Path, tmp_path: Path, context: Context) -> None:
    context.file_of = Path
    with pytest.raises(BadData, match=r"nothing.txt: no such text file"):
        corpus(spec_of(tiny_root, dataset=str(tiny_root / "nothing.txt")), tmp_path, context)


def test_cancelling_while_reading(tiny_root: Path, tmp_path: Path, context: Context) -> None:
    def check() -> None:
        if list(tmp_path.glob("*.jsonl")):
            raise Cancelled

    context.check = check
    with pytest.raises(Cancelled):
        corpus(spec_of(tiny_root), tmp_path, context)


def test_a_job_ends_with_a_record(tiny_root: Path, parts: Parts, enqueue: Callable[..., Job]) -> None:
    spec = spec_of(tiny_root).model_dump(mode="json")
    job = enqueue("corpus", spec)
    run(job.id, parts, ModelCache())
    ended = parts.stores.jobs.get(job.id)
    assert ended.state is JobState.SUCCEEDED and ended.result == {"corpus": job.artefact_id}
    record = parts.stores.results.get("corpus", job.artefact_id)
    assert record.summary["tokens"] >= 1200 and record.summary["models"] == spec["models"]
    assert [each.id for each in parts.stores.results.corpora_of(spec["models"], 5)] == [record.id]
    again = enqueue("corpus", spec)
    assert again.id == job.id


def test_a_job_without_enough_text_fails_and_leaves_nothing(
    tiny_root: Path, parts: Parts, enqueue: Callable[..., Job]
) -> None:
    job = enqueue("corpus", spec_of(tiny_root, dataset="short.txt").model_dump(mode="json"))
    run(job.id, parts, ModelCache())
    ended = parts.stores.jobs.get(job.id)
    assert ended.state is JobState.FAILED and ended.error is not None
    assert "a corpus needs at least 1,000" in ended.error["detail"]
    assert not parts.stores.artefacts.exists("corpus", job.artefact_id)
