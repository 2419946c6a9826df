"""One attribution from its texts to its tables: the three steps of NSA in order, with one model in memory at a time.

Activations go through an archive (on disk, see `Archive`), a layer at a time, so that memory depends neither on the
number of texts nor on the number of variants.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from transformers import PreTrainedModel

from lm.architecture import context_length, decoder_layers, neuron_count
from lm.errors import BadInput
from lm.loading import LanguageModel
from lm.tokens import tokenize
from nsa import comparison, masks, scoring
from nsa.errors import ModelsDiffer, TextsTooLong
from nsa.examples import Example, LeftOut, Positions, fitting, make_examples, positions_of
from nsa.recording import record
from nsa.texts import FoundWords, Text
from nsa.words import check_texts, influential_words

DENSE = "dense"
MOST_MATCHED = 100  # top neurons that the controls speak of
PER_WORD = 20  # top neurons of one word whose pooled drop is the word's

Report = Callable[[str, int, int, str], None]  # stage, done, total, unit; may raise Cancelled


class Archive(Protocol):
    """Where activations and tables [layers, ...] are kept while an attribution runs."""

    def write(self, variant: str, layer: int, start: int, values: Float[np.ndarray, "tokens neurons"]) -> None:
        """Take one layer's activations of the tokens from `start` on."""

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, Float[np.ndarray, "neurons tokens"]]]:
        """Bring a recorded layer into its lasting form; yields (first neuron, float16 activations) block by block."""

    def close(self, variant: str) -> None:
        """Forget what only recording needed."""

    def keep(self, name: str, layer: int, values: Float[np.ndarray, "neurons words"]) -> None:
        """Keep one layer of a table."""

    def kept(self, name: str, layer: int) -> Float[np.ndarray, "neurons words"]:
        """Give it back."""


@dataclass(frozen=True)
class Options:
    """What an attribution may choose; `layers` None means all."""

    source: str = "manual"
    activation: str = "relu"
    layers: tuple[int, ...] | None = None
    permutations: int = 1000
    seed: int = 0
    floor: float = scoring.FLOOR
    count_special: bool = False


@dataclass(frozen=True)
class Result:
    """What is kept beside the activations: arrays [layers, neurons] by name, and the document of tables."""

    arrays: dict[str, np.ndarray]
    tables: dict[str, Any]


@dataclass(frozen=True)
class _Prepared:
    examples: list[Example]
    positions: Positions
    found: dict[int, FoundWords]
    left_out: list[LeftOut]
    layers: list[int]


def variant_names(pruned: int) -> list[str]:
    """The names of the variants in order: `dense`, `pruned-1`, ..."""
    return [DENSE, *(f"pruned-{number}" for number in range(1, pruned + 1))]


def attribute(
    dense: Callable[[], LanguageModel],
    pruned: Sequence[Callable[[], LanguageModel]],
    texts: Sequence[Text],
    options: Options,
    open_archive: Callable[[list[dict[str, Any]], int, int], Archive],
    report: Report = lambda stage, done, total, unit: None,
) -> Result:
    """Run the three steps. Each of `dense` and `pruned` loads its model when it is needed and not before.

    `open_archive(examples, layers, neurons)` is called once, when texts and words have proved usable.
    Raises BadInput and its kinds (lm/errors.py, nsa/errors.py); an exception of `report` passes through.
    """
    _check(options, texts)
    lm = dense()
    prepared = _prepare(lm, texts, options, report)
    shape = (len(decoder_layers(lm.model)), neuron_count(lm.model))
    archive = open_archive([example.document() for example in prepared.examples], *shape)
    _record(lm, DENSE, prepared, archive, report)
    arrays = _score(archive, prepared, options, shape, lm.device, report)
    zeros = masks.zeros(lm.model) if pruned else None
    del lm
    comparisons = {}
    for name, load in zip(variant_names(len(pruned))[1:], pruned, strict=True):
        assert zeros is not None
        lm = load()
        _check_comparable(lm, name, prepared.examples, shape)
        _record(lm, name, prepared, archive, report)
        fractions = masks.masked_fractions(lm.model, zeros)
        device = lm.device
        del lm
        comparisons[name] = _compare(archive, name, prepared, options, arrays, device, report)
        arrays[f"masked_in/{name}"] = fractions.incoming.astype(np.float32)
        arrays[f"masked_out/{name}"] = fractions.outgoing.astype(np.float32)
    arrays.pop("best")
    return Result(arrays, _tables(texts, prepared, options, arrays, comparisons))


def _check(options: Options, texts: Sequence[Text]) -> None:
    check_texts(texts)
    scoring.transform(options.activation)
    if options.permutations < 0:
        raise BadInput(f"permutations {options.permutations}: 0 (none) or more")
    if options.layers is not None and not options.layers:
        raise BadInput("layers: name at least one, or leave it out for all")


def _prepare(lm: LanguageModel, texts: Sequence[Text], options: Options, report: Report) -> _Prepared:
    count = len(decoder_layers(lm.model))
    wrong = [layer for layer in options.layers or () if not 0 <= layer < count]
    if wrong:
        raise BadInput(f"layer {wrong[0]}: this model's layers are 0 to {count - 1}")
    assert lm.tokenizer is not None
    tokens, left_out = fitting(lm.tokenizer, texts, context_length(lm.model))
    kept = sorted(tokens)
    words = influential_words(
        lm, [texts[i] for i in kept], options.source, on_text=lambda done, total: report("words", done, total, "texts")
    )
    found = dict(zip(kept, words, strict=True))
    if options.source == "cot":
        for index in [index for index in kept if found[index].answer is None]:
            left_out.append(LeftOut(index, "asking for its influential words takes more than the model's context"))
            del tokens[index], found[index]
        if not tokens:
            raise TextsTooLong("all texts are too long to ask this model for their influential words: shorten them")
    made = make_examples(tokens, texts, found)
    return _Prepared(
        examples=made,
        positions=positions_of(made, count_special=options.count_special),
        found=found,
        left_out=sorted(left_out, key=lambda text: text.text),
        layers=sorted(set(options.layers)) if options.layers else list(range(count)),
    )


def _record(lm: LanguageModel, variant: str, prepared: _Prepared, archive: Archive, report: Report) -> None:
    record(
        lm.model,
        [example.token_ids for example in prepared.examples],
        partial(archive.write, variant),
        layers=prepared.layers,
        on_batch=lambda done, total: report(f"record {variant}", done, total, "texts"),
    )


def _score(
    archive: Archive,
    prepared: _Prepared,
    options: Options,
    shape: tuple[int, int],
    device: torch.device,
    report: Report,
) -> dict[str, np.ndarray]:
    """Every neuron's Score with its significance, rank and word; `best` is A_m of that word."""
    names = ("score", "p_value", "lift", "z", "q_value", "best")
    arrays: dict[str, np.ndarray] = {name: np.full(shape, np.nan, dtype=np.float32) for name in names}
    arrays["word"] = np.full(shape, -1, dtype=np.int32)
    exact_z, exact_score = np.full(shape, np.nan), np.full(shape, np.nan)
    draws = scoring.redraws(prepared.positions, options.permutations, options.seed).to(device)
    for done, layer in enumerate(prepared.layers, start=1):
        sums = scoring.Sums.joined(
            [
                scoring.sums(torch.from_numpy(block).to(device), prepared.positions, options.activation, draws)
                for _, block in archive.blocks(DENSE, layer)
            ]
        )
        found = scoring.scores(sums, prepared.positions, permutations=options.permutations, floor=options.floor)
        exact_score[layer], exact_z[layer] = found.score, found.z
        arrays["p_value"][layer], arrays["lift"][layer] = found.p_value, found.lift
        arrays["word"][layer] = comparison.matched_words(sums.words)
        arrays["best"][layer] = sums.words.max(1)
        archive.keep(f"word_activations/{DENSE}", layer, sums.words.astype(np.float32))
        report("score", done, len(prepared.layers), "layers")
    archive.close(DENSE)
    arrays["score"], arrays["z"] = exact_score.astype(np.float32), exact_z.astype(np.float32)
    arrays["q_value"] = scoring.q_values(exact_z).astype(np.float32)
    arrays["rank"] = _ranks(exact_score)
    return arrays


def _ranks(score: Float[np.ndarray, "layers neurons"]) -> np.ndarray:
    """1 for the highest Score of all, ties by place; 0 where it is NaN."""
    order = np.argsort(-score.ravel(), kind="stable")[: int(np.isfinite(score).sum())]
    ranks = np.zeros(score.size, dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks.reshape(score.shape)


def _compare(
    archive: Archive,
    variant: str,
    prepared: _Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Drops of one variant: `drop/<variant>` into the arrays, and its controls and words as a document."""
    shape = arrays["score"].shape
    ranks, words = arrays["rank"], arrays["word"]
    fallen = np.full(shape, np.nan)
    matched = (ranks > 0) & (ranks <= _matched(ranks)) & (words >= 0)
    pairs = []
    for done, layer in enumerate(prepared.layers, start=1):
        means = np.concatenate(
            [
                scoring.word_means(torch.from_numpy(block).to(device), prepared.positions, options.activation)
                for _, block in archive.blocks(variant, layer)
            ]
        ).astype(np.float32)
        archive.keep(f"word_activations/{variant}", layer, means)
        fallen[layer] = np.take_along_axis(means, np.maximum(words[layer], 0)[:, None], 1)[:, 0]
        places = np.flatnonzero(matched[layer])
        pairs.append(
            comparison.layer_pairs(
                archive.kept(f"word_activations/{DENSE}", layer),
                means,
                places,
                words[layer][places],
                ranks[layer] > 0,
                np.random.default_rng([options.seed, layer]),
            )
        )
        report(f"compare {variant}", done, len(prepared.layers), "layers")
    archive.close(variant)
    drop = np.where(words >= 0, comparison.drops(arrays["best"].astype(np.float64), fallen), np.nan)
    arrays[f"drop/{variant}"] = drop.astype(np.float32)
    return {
        "controls": asdict(comparison.controls(pairs, options.seed)),
        "words": [_word_damage(word, arrays, fallen, options.seed) for word in range(len(prepared.positions.words))],
    }


def _matched(ranks: np.ndarray) -> int:
    """How many top neurons count as matched: 5 % of the ranked, at least 10, at most MOST_MATCHED."""
    ranked = int(ranks.max(initial=0))
    return min(MOST_MATCHED, max(10, ranked // 20), ranked)


def _word_damage(word: int, arrays: dict[str, np.ndarray], fallen: np.ndarray, seed: int) -> dict[str, Any]:
    """The pooled drop of the best PER_WORD ranked neurons of one word."""
    places = np.flatnonzero(((arrays["word"] == word) & (arrays["rank"] > 0)).ravel())
    best = places[np.argsort(arrays["rank"].ravel()[places])][:PER_WORD]
    pairs = np.stack([arrays["best"].ravel()[best], fallen.ravel()[best]], axis=1).astype(np.float64)
    interval = comparison.pooled_drop(pairs, seed)
    return {
        "neurons": interval.neurons,
        "activation": float(pairs[:, 0].mean()) if len(pairs) else None,
        "drop": interval.value,
        "low": interval.low,
        "high": interval.high,
    }


def _check_comparable(lm: LanguageModel, name: str, examples: list[Example], shape: tuple[int, int]) -> None:
    """Raise ModelsDiffer unless the variant has the dense model's shape, and its tokenizer (if any) the same tokens."""
    own = (len(decoder_layers(lm.model)), neuron_count(lm.model))
    if own != shape:
        raise ModelsDiffer(
            f"{name} ({lm.reference}) has {own[0]} layers of {own[1]} neurons, dense model {shape[0]} of {shape[1]}; "
            "compare models of one shape"
        )
    largest = max(max(example.token_ids) for example in examples)
    if largest >= _vocabulary(lm.model):
        raise ModelsDiffer(f"{name} ({lm.reference}) does not know token {largest} of the texts: compare one tokenizer")
    for example in examples:
        if lm.tokenizer is not None and tokenize(lm.tokenizer, example.text).ids != example.token_ids:
            raise ModelsDiffer(
                f"{name} ({lm.reference}) cuts text {example.index} into other tokens than the dense model: "
                "compare models of one tokenizer"
            )


def _vocabulary(model: PreTrainedModel) -> int:
    return int(cast(nn.Embedding, model.get_input_embeddings()).weight.shape[0])


def _tables(
    texts: Sequence[Text],
    prepared: _Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    comparisons: dict[str, Any],
) -> dict[str, Any]:
    """The document of tables, as store/attribution_tables.py reads it."""
    positions = prepared.positions
    ranked = int((arrays["rank"] > 0).sum())
    neurons = len(prepared.layers) * arrays["rank"].shape[1]
    matches = [(example.index, match) for example in prepared.examples for match in example.words]
    return {
        "layers": prepared.layers,
        "words": [
            {
                "word": word,
                "texts": len({index for index, match in matches if match.word.lower() == word}),
                "occurrences": sum(match.occurrences for _, match in matches if match.word.lower() == word),
                "tokens": len(places),
            }
            for word, places in positions.words.items()
        ],
        "comparisons": comparisons,
        "summary": {
            "activation": options.activation,
            "source": options.source,
            "layers": prepared.layers,
            "permutations": options.permutations,
            "texts": len(prepared.examples),
            "tokens": len(positions.text),
            "counted_tokens": int(positions.counted.sum()),
            "influential_tokens": int((positions.influential & positions.counted).sum()),
            "neurons": neurons,
            "ranked": ranked,
            "unranked": neurons - ranked,
            "matched": _matched(arrays["rank"]),
            "dropped": [
                {"text": index, "word": word} for index, found in prepared.found.items() for word in found.dropped
            ],
            "left_out": [asdict(text) for text in prepared.left_out],
            "answers": [
                {"text": index, "answer": found.answer}
                for index, found in prepared.found.items()
                if found.answer is not None
            ],
        },
    }
