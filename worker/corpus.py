"""The stage corpus: reads a corpus with each model and writes the artefact (`store/corpora/folder.py`)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.specs import CorpusSpec
from prunescope.jobs.vocabulary import CALIBRATION_SETS
from prunescope.lm.errors import BadData
from prunescope.lm.loading import LanguageModel
from prunescope.lm.rows import file_documents, file_text
from prunescope.lm.tokens import Tokens
from prunescope.nsa.corpus.reading import CorpusOptions, read_corpus
from prunescope.nsa.corpus.stream import Examples, ModelStatistics
from prunescope.nsa.corpus.writes import Written
from prunescope.pruning.calibration_sources import DEMO_TEXT, documents, lines
from prunescope.store.corpora.documents import CORPUS_JSON, FORMAT, StoredCorpus
from prunescope.store.corpora.folder import VOCABULARY, WINDOWS
from prunescope.store.corpora.lines import LineWriter
from prunescope.store.corpora.neurons import file_name, record_type, write_records
from prunescope.worker.context import Context
from prunescope.worker.disk import check_records
from prunescope.worker.pruned_model import label
from prunescope.worker.records import environment, write_json


def corpus(spec: CorpusSpec, folder: Path, context: Context) -> StoredCorpus:
    """Read a corpus and write its artefact to the empty `folder`. Returns the document."""
    began = time.monotonic()
    context.step("text", message=spec.dataset)
    texts = texts_of(spec.dataset, context)
    computed: list[dict[str, Any]] = []

    def load(reference: str) -> LanguageModel:
        context.step("load", message=reference)
        lm = context.models.get(context.place_of(reference), reference)
        computed.append(environment(lm, lm.model.dtype))
        return lm

    options = CorpusOptions(
        tokens=spec.tokens,
        seqlen=spec.seqlen,
        examples=spec.examples,
        seed=spec.seed,
        layers=spec.layers,
        writes=spec.writes,
        sinks=spec.sinks,
    )
    with Archive(folder, spec) as archive:
        read = read_corpus([partial(load, each) for each in spec.models], texts, options, archive, context.step)
    document = StoredCorpus(
        format=FORMAT,
        dataset=spec.dataset,
        models=list(spec.models),
        labels=[label(reference, context.place_of(reference)) for reference in spec.models],
        tokens=read.tokens,
        windows=read.windows,
        layers=read.layers,
        neurons=read.neurons,
        writes=spec.writes,
        asked=spec.tokens,
        sampled=read.sampled,
        texts=read.texts,
        seqlen=read.seqlen,
        bos=read.bos,
        sha256=read.sha256,
        sink_tokens=read.sink_tokens,
        examples=spec.examples,
        seed=spec.seed,
        environment=computed[0],
        seconds=time.monotonic() - began,
    )
    write_json(folder / CORPUS_JSON, document.model_dump(mode="json"))
    return document


def texts_of(dataset: str, context: Context) -> list[str]:
    """The texts of a calibration set or of a file. Running text is one text. Raises BadData for a file that is missing
    or malformed, and when the hub cannot be reached."""
    data = context.settings.data
    if dataset == "demo":
        return file_documents(DEMO_TEXT)
    if dataset in ("wikitext2", "ptb"):
        return [" ".join(lines(dataset, data))]
    if dataset in CALIBRATION_SETS:
        return documents(dataset, data)
    path = context.file_of(dataset)
    if not path.is_file():
        raise BadData(f"{dataset}: no such text file")
    return [file_text(path)] if path.suffix == ".txt" else file_documents(path)


class Archive:
    """Writes a corpus's files; implements `nsa.corpus.reading.CorpusArchive`."""

    def __init__(self, folder: Path, spec: CorpusSpec) -> None:
        self._folder, self._spec = folder, spec
        self._type = record_type(spec.examples, writes=spec.writes)
        self._opened = ExitStack()
        self._windows = self._opened.enter_context(LineWriter(folder, WINDOWS))

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def window(self, text: int, tokens: Tokens) -> None:
        """Store the next window."""
        self._windows.add({"text": text, "ids": tokens.ids, "tokens": tokens.texts, "special": tokens.special})

    def vocabulary(self, texts: Iterator[str]) -> None:
        """Store the display text of every token id."""
        with LineWriter(self._folder, VOCABULARY) as writer:
            for text in texts:
                writer.add(text)

    def model(self, number: int, statistics: ModelStatistics, written: Iterator[Written] | None) -> None:
        """Store the results of a model."""
        shape = statistics.mean.shape
        check_records(self._folder, shape[0] * shape[1] * self._type.itemsize * (len(self._spec.models) - number))
        layers = (
            self._layer(statistics, index, None if written is None else next(written)) for index in range(shape[0])
        )
        write_records(self._folder / file_name(number), shape, layers)

    def _layer(self, statistics: ModelStatistics, index: int, written: Written | None) -> NDArray[Any]:
        records = np.zeros(statistics.mean.shape[1], dtype=self._type)
        for name in ("mean", "deviation", "minimum", "maximum", "density"):
            records[name] = getattr(statistics, name)[index]
        records["quantiles"] = statistics.quantiles[index].T
        signs: Sequence[tuple[str, Examples]] = (("highest", statistics.highest), ("lowest", statistics.lowest))
        for place, (name, examples) in enumerate(signs):
            here = examples.values if statistics.here is None else statistics.here[place]
            records[name]["value"] = examples.values[index].T
            records[name]["window"] = examples.windows[index].T
            records[name]["position"] = examples.positions[index].T
            records[name]["here"] = here[index].T
        if written is not None:
            count = written.up.shape[1]  # a vocabulary may be smaller than the field
            for name in ("up", "down"):
                records[name] = -1
                records[name][:, :count] = getattr(written, name)
                records[f"{name}_values"][:, :count] = getattr(written, f"{name}_values")
        return records
