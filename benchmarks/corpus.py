"""python -m benchmarks.corpus [--model M] [--tokens N] [--data DIR]: time of a corpus against the plain forward pass.

Both read the same windows in the same batches, in this process and one after the other. Times are CPU seconds, because
the wall time of a shared machine varies more than the difference.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.loading import load
from prunescope.lm.positions import length_switches
from prunescope.lm.rows import file_documents
from prunescope.nsa.corpus.reading import SEQLEN
from prunescope.nsa.corpus.sampling import SAMPLE, draw
from prunescope.nsa.corpus.stream import BATCH_TOKENS, batches, reading_order, stream
from prunescope.nsa.corpus.windows import cut_windows
from prunescope.nsa.corpus.writes import Writer
from prunescope.nsa.recording import run
from prunescope.pruning.calibration_sources import DEMO_TEXT, documents

TARGET = 1.2
"""Highest ratio of the streaming pass to the plain pass that is aimed at."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument(
        "--data", type=Path, help="folder with calibration/c4.jsonl; without it, the demo's text is read"
    )
    options = parser.parse_args()
    lm = load(options.model)
    assert lm.tokenizer is not None
    texts = documents("c4", options.data) if options.data else file_documents(DEMO_TEXT)
    windows = cut_windows(lm.tokenizer, texts, tokens=options.tokens, seqlen=SEQLEN, seed=0)
    order = reading_order(windows)
    # At the default of 100,000 tokens the sample is 4 % of them; a shorter run samples the same share.
    sample = draw(windows, order, 0, min(SAMPLE, max(1, SAMPLE * windows.tokens // 100_000)))
    layers = range(len(decoder_layers(lm.model)))
    lengths = (windows.ends - windows.starts)[order]

    def plain() -> None:
        with torch.no_grad():
            for first, last in batches(lengths, BATCH_TOKENS, length_switches(lm.model)):
                run(lm.model, [windows.ids[windows.starts[n] : windows.ends[n]].tolist() for n in order[first:last]])

    dense = stream(lm.model, windows, sample, layers=layers, examples=10)  # also warms everything up
    other = (dense.highest, dense.lowest)
    rows = int(cast(nn.Embedding, lm.model.get_input_embeddings()).weight.shape[0])
    writer = Writer(lm.model, np.ones(rows, dtype=bool))
    seconds = {
        "plain pass": _seconds(plain),
        "stream": _seconds(lambda: stream(lm.model, windows, sample, layers=layers, examples=10)),
        "stream of a variant": _seconds(
            lambda: stream(lm.model, windows, sample, layers=layers, examples=10, other=other)
        ),
        "written tokens": _seconds(lambda: [writer.layer(layer) for layer in layers]),
    }
    ratio = seconds["stream"] / seconds["plain pass"]
    result = {
        "model": options.model,
        "tokens": windows.tokens,
        "cpu_seconds": seconds,
        "ratio": ratio,
        "target": TARGET,
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
