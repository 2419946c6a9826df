"""A corpus read with several models: the same windows and sample for all, and models that do not fit."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from prunescope.lm.errors import BadInput, Cancelled, NotFinite
from prunescope.lm.loading import LanguageModel
from prunescope.lm.tokens import Tokens
from prunescope.nsa.corpus.reading import CorpusOptions, CorpusRead, read_corpus
from prunescope.nsa.corpus.stream import ModelStatistics
from prunescope.nsa.corpus.writes import Written
from prunescope.nsa.errors import ModelsDiffer
from tests.models import NEURONS, VOCABULARY, tiny, tiny_tokenizer, tokenizer_with_end

TEXTS = ["the room was small and the food was bad but the staff were kind. " * count for count in range(1, 25)]
OPTIONS = CorpusOptions(tokens=1500, examples=3, seed=1)


class Kept:
    """An archive in memory."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, Tokens]] = []
        self.words: list[str] = []
        self.models: list[tuple[ModelStatistics, list[Written] | None]] = []

    def window(self, text: int, tokens: Tokens) -> None:
        self.windows.append((text, tokens))

    def vocabulary(self, texts: Iterator[str]) -> None:
        self.words = list(texts)

    def model(self, number: int, statistics: ModelStatistics, written: Iterator[Written] | None) -> None:
        assert number == len(self.models)
        self.models.append((statistics, None if written is None else list(written)))


def lm(seed: int = 0, **changes: object) -> LanguageModel:
    made = LanguageModel(tiny("llama", seed), tiny_tokenizer(), f"tiny-{seed}", torch.float32, torch.device("cpu"))
    return replace(made, **changes)  # type: ignore[arg-type]


def read(*models: Callable[[], LanguageModel], options: CorpusOptions = OPTIONS) -> tuple[CorpusRead, Kept]:
    kept = Kept()
    return read_corpus(models, TEXTS, options, kept), kept


def test_each_model_reads_the_same_windows() -> None:
    (found, kept), (_, alone) = read(lm, lambda: lm(1)), read(lambda: lm(1))
    assert found.layers == [0, 1] and found.neurons == NEURONS and found.seqlen == 128 and found.bos
    assert found.windows == len(kept.windows) and found.sampled == found.tokens >= 1500
    dense, variant = (statistics for statistics, _ in kept.models)
    assert dense.here is None and variant.here is not None
    np.testing.assert_array_equal(variant.highest.windows, alone.models[0][0].highest.windows)
    np.testing.assert_array_equal(variant.quantiles, alone.models[0][0].quantiles)
    assert not np.array_equal(dense.mean, variant.mean)


def test_sinks_are_those_of_the_dense_model() -> None:
    dense, plain = lm(), lm()
    room = int(dense.tokenizer.convert_tokens_to_ids("Ġroom"))  # type: ignore[union-attr]
    dense.model.get_input_embeddings().weight[room, 3] = 5000.0  # type: ignore[index]
    (counting, _), (found, kept) = (
        read(lambda: dense, lambda: plain, options=replace(OPTIONS, sinks=sinks)) for sinks in (True, False)
    )
    rooms = sum(window.ids[1:].count(room) for _, window in kept.windows)
    assert counting.sink_tokens is None and found.sink_tokens == rooms > 10
    assert found.tokens == found.sampled == counting.tokens - rooms
    for statistics, _ in kept.models:
        for examples in (statistics.highest, statistics.lowest):
            for window, position in zip(examples.windows.ravel(), examples.positions.ravel(), strict=True):
                assert window < 0 or kept.windows[window][1].ids[position] != room


def test_tokens_that_neurons_write_are_computed_on_request() -> None:
    kept = read(lm)[1]
    assert kept.words[0] == "<s>" and len(kept.words) == VOCABULARY
    written = kept.models[0][1]
    assert written is not None and [layer.up.shape for layer in written] == [(NEURONS, 20)] * 2
    without = read(lm, options=replace(OPTIONS, writes=False))[1]
    assert without.words == [] and without.models[0][1] is None


def test_only_the_layers_asked_for() -> None:
    found, kept = read(lm, options=replace(OPTIONS, layers=(1,)))
    assert found.layers == [1]
    assert kept.models[0][0].mean.shape == (1, NEURONS)
    assert kept.models[0][1] is not None and len(kept.models[0][1]) == 1


@pytest.mark.parametrize(
    ("variant", "options", "error", "message"),
    [
        (lm, {"layers": (1, 2)}, BadInput, "layer 2: this model's layers are 0 to 1"),
        (lm, {"seqlen": 129}, BadInput, "seqlen 129 is more than the 128 tokens that the model reads"),
        (lambda: lm(model=tiny("gpt2")), {}, None, ""),
        (lambda: lm(model=tiny("bloom")), {}, ModelsDiffer, "width 16, the first model 2 layers of 64 neurons and"),
        (lambda: lm(tokenizer=tokenizer_with_end("<s>")), {}, None, ""),
        (lambda: lm(1, tokenizer=None), {}, None, ""),
    ],
)
def test_models_that_do_not_fit(
    variant: Callable[[], LanguageModel], options: dict[str, object], error: type[Exception] | None, message: str
) -> None:
    if error is None:
        assert len(read(lm, variant)[1].models) == 2
        return
    with pytest.raises(error, match=message):
        read(lm, variant, options=replace(OPTIONS, **options))  # type: ignore[arg-type]


def test_a_variant_with_another_tokenizer_is_refused() -> None:
    other = tiny_tokenizer()
    other.backend_tokenizer.pre_tokenizer = None  # merges across words
    with pytest.raises(ModelsDiffer, match="tiny-0 tokenises the corpus differently from the first model"):
        read(lm, lambda: lm(tokenizer=other))


def test_a_model_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(BadInput, match=r"tiny-0 has no tokenizer: put its tokenizer.json beside its weights"):
        read(lambda: lm(tokenizer=None))


def test_nan_names_the_model() -> None:
    broken = lm(1)
    broken.model.model.layers[0].mlp.gate_proj.weight.data[0] = torch.nan
    with pytest.raises(NotFinite, match="tiny-1: layer 0, neuron 0: its activation in window"):
        read(lm, lambda: broken)


def test_progress_may_cancel() -> None:
    stages: list[tuple[str, int, int, str]] = []

    def report(stage: str, done: int, total: int, unit: str) -> None:
        stages.append((stage, done, total, unit))
        if stage == "tokens that tiny-0 writes" and done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        read_corpus([lm], TEXTS, OPTIONS, Kept(), report)
    assert stages[0] == ("cut windows", 0, 0, "")
    assert stages[-2:] == [("tokens that tiny-0 writes", 0, 2, "layers"), ("tokens that tiny-0 writes", 1, 2, "layers")]
    reading = [stage for stage in stages if stage[0] == "read tiny-0"]
    assert reading[-1][1] == reading[-1][2] > 0
