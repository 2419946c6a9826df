"""A corpus that nobody read: few neurons with known numbers, written by the store's own writers."""

from pathlib import Path
from typing import Any

import numpy as np

from prunescope.store.corpora.documents import CORPUS_JSON, FORMAT, StoredCorpus
from prunescope.store.corpora.folder import VOCABULARY, WINDOWS
from prunescope.store.corpora.lines import LineWriter
from prunescope.store.corpora.neurons import NO_WINDOW, file_name, record_type, write_records

WORDS = ["<s>", "the", " staff", " was", " kind", "\n", " <b>&", " food", " bad"]


def write_made_up_corpus(
    folder: Path, models: list[str], *, layers: int = 2, neurons: int = 3, examples: int = 2, writes: bool = True
) -> StoredCorpus:
    """Write a corpus to an existing folder. Window n has the tokens WORDS, rotated by n after BOS. Of neuron 1, the
    last example is an empty place."""
    with LineWriter(folder, WINDOWS) as windows:
        for number in range(4):
            tokens = [WORDS[0], *WORDS[1 + number :], *WORDS[1 : 1 + number]]
            special = [True] + [False] * (len(tokens) - 1)
            windows.add({"text": number, "ids": list(range(len(tokens))), "tokens": tokens, "special": special})
    if writes:
        with LineWriter(folder, VOCABULARY) as vocabulary:
            for number in range(40):
                vocabulary.add(WORDS[number] if number < len(WORDS) else f" word{number}")
    for model in range(len(models)):
        records = [_layer(model, layer, neurons, examples, writes) for layer in range(layers)]
        write_records(folder / file_name(model), (layers, neurons), records)
    document = StoredCorpus(
        format=FORMAT,
        dataset="demo",
        models=models,
        labels=models,
        tokens=2000,
        windows=4,
        layers=list(range(layers)),
        neurons=neurons,
        writes=writes,
        asked=10_000,
        sampled=1000,
        texts=4,
        seqlen=64,
        bos=True,
        sha256="0" * 64,
        sink_tokens=3,
        examples=examples,
        seed=0,
        environment={"device": "cpu"},
        seconds=1.5,
    )
    (folder / CORPUS_JSON).write_text(document.model_dump_json(), encoding="utf-8")
    return document


def _layer(model: int, layer: int, neurons: int, examples: int, writes: bool) -> np.ndarray[Any, Any]:
    records = np.zeros(neurons, dtype=record_type(examples, writes=writes))
    for neuron, record in enumerate(records):
        size = 1 + layer + neuron / 10
        shrunk = size * (1 - model / 4)
        record["mean"], record["deviation"] = 0.1 * shrunk, 0.5 * shrunk
        record["minimum"], record["maximum"], record["density"] = -shrunk, 4 * shrunk, 0.25
        record["quantiles"] = shrunk * np.array([-0.9, -0.5, -0.1, 0.05, 0.3, 1.5, 3.0])
        for sign, factor in (("highest", 4), ("lowest", -1)):
            for place in range(examples):
                window = (place + model) % 4
                record[sign][place] = (factor * shrunk / (1 + place), window, 2 + place, factor * shrunk / (2 + place))
                if model == 0:
                    record[sign][place]["here"] = record[sign][place]["value"]
            if neuron == 1:
                record[sign][-1] = (0, NO_WINDOW, 0, 0)
        if writes:
            record["up"], record["down"] = np.arange(20) + model, np.arange(20, 40) - 2 * model
            record["up_values"], record["down_values"] = np.linspace(2, 1, 20), -np.linspace(2, 1, 20)
    return records
