"""Reads a corpus with a dense model and its pruned variants, one model in memory at a time.

All models read the same windows, and their quantiles come from the same sample of tokens.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import numpy as np
from torch import nn

from prunescope.lm.architecture import context_length
from prunescope.lm.errors import BadInput, NotFinite
from prunescope.lm.loading import LanguageModel
from prunescope.lm.tokens import Displayed, Tokens
from prunescope.nsa.corpus.sampling import draw
from prunescope.nsa.corpus.stream import Examples, ModelStatistics, reading_order, stream
from prunescope.nsa.corpus.windows import Windows, cut_windows
from prunescope.nsa.corpus.writes import Writer, Written
from prunescope.nsa.errors import ModelsDiffer
from prunescope.nsa.preparation import Report, shape_of

SEQLEN = 256
"""Default length of a window in tokens; the model's context length if that is shorter."""

Load = Callable[[], LanguageModel]


@dataclass(frozen=True)
class CorpusOptions:
    """Options of a corpus. `tokens`: how many are counted at most. `seqlen`: window length in tokens, BOS included;
    None: min(SEQLEN, the model's context length). `examples`: how many are kept for each neuron and sign. `layers`:
    None means all. `writes`: whether the tokens that neurons write are computed. `sinks`: whether position 0 of every
    window and the dense model's attention sinks (nsa/sinks.py) are counted as any other token."""

    tokens: int = 100_000
    seqlen: int | None = None
    examples: int = 10
    seed: int = 0
    layers: tuple[int, ...] | None = None
    writes: bool = True
    sinks: bool = False


@dataclass(frozen=True)
class CorpusRead:
    """What was read. `tokens`: the number of counted tokens; `sampled`: how many of them the quantiles come from;
    `sha256`: the hash of all windows; `sink_tokens`: the number of attention sinks beside position 0 that were left
    out, None if sinks are counted."""

    layers: list[int]
    neurons: int
    tokens: int
    sampled: int
    windows: int
    texts: int
    seqlen: int
    bos: bool
    sha256: str
    sink_tokens: int | None


class CorpusArchive(Protocol):
    """Storage for the results of a corpus."""

    def window(self, text: int, tokens: Tokens) -> None:
        """Store the next window, cut from the text with this number."""

    def vocabulary(self, texts: Iterator[str]) -> None:
        """Store the display text of every token id, in the order of ids. Called only if tokens that neurons write are
        computed."""

    def model(self, number: int, statistics: ModelStatistics, written: Iterator[Written] | None) -> None:
        """Store the results of model `number`; `written` yields one item for each layer."""


def read_corpus(
    loaders: Sequence[Load],
    texts: Sequence[str],
    options: CorpusOptions,
    archive: CorpusArchive,
    report: Report = lambda stage, done, total, unit, message="": None,
) -> CorpusRead:
    """Read the texts with every model. The first of `loaders` loads the dense model, at whose examples the others'
    activations are read too; each is called once, when its model is needed.

    `report(stage, done, total, unit)` is a progress callback that may raise Cancelled. Raises BadInput for an invalid
    layer, window length or model, ModelsDiffer for a variant of another shape or tokenizer, BadData for too little
    text.
    """
    lm = loaders[0]()
    layers, neurons, _ = shape = shape_of(lm.model)
    wanted = list(range(layers)) if options.layers is None else sorted(set(options.layers))
    wrong = [layer for layer in wanted if not 0 <= layer < layers]
    if wrong:
        raise BadInput(f"layer {wrong[0]}: this model's layers are 0 to {layers - 1}")
    seqlen = _seqlen(lm, options.seqlen)
    cut = partial(_cut, texts, options, seqlen)
    report("cut windows", 0, 0, "")
    windows = cut(lm, archive.window)
    sha256 = _sha256(windows)
    order = reading_order(windows)
    sample = draw(windows, order, options.seed)
    sink_tokens: int | None = None
    known = _known(lm) if options.writes else None
    if known is not None:
        archive.vocabulary(_displayed(lm, len(known)))
    examples: tuple[Examples, Examples] | None = None
    for number, load in enumerate(loaders):
        if number:
            lm = load()
            _check_comparable(lm, shape, sha256, cut)
        called = f"read {lm.reference}"
        try:
            statistics = stream(
                lm.model,
                windows,
                sample,
                layers=wanted,
                examples=options.examples,
                other=examples,
                find_sinks=not (number or options.sinks),
                on_batch=lambda done, total, called=called: report(called, done, total, "windows"),  # type: ignore[misc]
            )
        except NotFinite as error:
            raise NotFinite(f"{lm.reference}: {error}") from error
        if not (number or options.sinks):
            sink_tokens = int((statistics.sinks & windows.counted).sum())
            sample = sample.without(statistics.sinks, windows, order)
            windows = windows.without(statistics.sinks)
        examples = examples or (statistics.highest, statistics.lowest)
        archive.model(number, statistics, None if known is None else _written(lm, known, wanted, report))
        del lm, statistics
    return CorpusRead(
        wanted,
        neurons,
        windows.tokens,
        len(sample.rank),
        len(windows.ends),
        windows.texts,
        seqlen,
        windows.bos,
        sha256,
        sink_tokens,
    )


def _seqlen(lm: LanguageModel, asked: int | None) -> int:
    context = context_length(lm.model)
    if asked is not None and asked > context:
        raise BadInput(f"seqlen {asked} is more than the {context} tokens that the model reads; give a smaller one")
    return min(SEQLEN, context) if asked is None else asked


def _cut(
    texts: Sequence[str],
    options: CorpusOptions,
    seqlen: int,
    lm: LanguageModel,
    keep: Callable[[int, Tokens], None] = lambda text, window: None,
) -> Windows:
    if lm.tokenizer is None:
        raise BadInput(f"{lm.reference} has no tokenizer: put its tokenizer.json beside its weights")
    return cut_windows(
        lm.tokenizer,
        texts,
        tokens=options.tokens,
        seqlen=seqlen,
        seed=options.seed,
        count_first=options.sinks,
        keep=keep,
    )


def _sha256(windows: Windows) -> str:
    content = hashlib.sha256(windows.ids.astype("<i4").tobytes())
    content.update(windows.ends.astype("<i8").tobytes())
    return content.hexdigest()


def _check_comparable(
    lm: LanguageModel, shape: tuple[int, int, int], sha256: str, cut: Callable[[LanguageModel], Windows]
) -> None:
    """Raise ModelsDiffer unless a variant has the first model's shape and its tokenizer, if it has one, cuts the same
    windows."""
    own = shape_of(lm.model)
    if own != shape:
        found, expected = (
            f"{layers} layer{'' if layers == 1 else 's'} of {neurons} neurons and width {width}"
            for layers, neurons, width in (own, shape)
        )
        raise ModelsDiffer(
            f"{lm.reference} has {found}, the first model {expected}; read the corpus with models of the same shape"
        )
    if lm.tokenizer is not None and _sha256(cut(lm)) != sha256:
        raise ModelsDiffer(
            f"{lm.reference} tokenises the corpus differently from the first model: give models with the same tokenizer"
        )


def _known(lm: LanguageModel) -> np.ndarray:
    """Which rows of the embedding have a token [rows]."""
    assert lm.tokenizer is not None
    rows = int(cast(nn.Embedding, lm.model.get_input_embeddings()).weight.shape[0])
    known = np.zeros(rows, dtype=bool)
    known[[token for token in lm.tokenizer.get_vocab().values() if token < rows]] = True
    return known


def _displayed(lm: LanguageModel, rows: int) -> Iterator[str]:
    assert lm.tokenizer is not None
    displayed, known = Displayed(lm.tokenizer), set(lm.tokenizer.get_vocab().values())
    return (displayed.text(token) if token in known else "" for token in range(rows))


def _written(lm: LanguageModel, known: np.ndarray, layers: Sequence[int], report: Report) -> Iterator[Written]:
    writer = Writer(lm.model, known)
    for done, layer in enumerate(layers):
        report(f"tokens that {lm.reference} writes", done, len(layers), "layers")
        yield writer.layer(layer)
    report(f"tokens that {lm.reference} writes", len(layers), len(layers), "layers")
