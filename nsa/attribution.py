"""One attribution from its texts to its tables: the three steps of NSA in order, with one model in memory at a time.

Activations go through an archive (on disk, see `Archive`), a layer at a time, so that memory depends neither on the
number of texts nor on the number of variants.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float

from lm.architecture import decoder_layers, neuron_count
from lm.loading import LanguageModel
from nsa import comparison, masks, scoring
from nsa.errors import NotFinite
from nsa.preparation import Options, Prepared, Report, check, check_comparable, prepare
from nsa.recording import record
from nsa.tables import matched_count, ranks_of, tables_document, word_damage
from nsa.texts import Text

__all__ = ["DENSE", "Archive", "Options", "Report", "Result", "attribute", "variant_names"]

DENSE = "dense"


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
class Result:
    """What is kept beside the activations: arrays [layers, neurons] by name, and the document of tables."""

    arrays: dict[str, np.ndarray]
    tables: dict[str, Any]


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
    check(texts, options)
    lm = dense()
    prepared = prepare(lm, texts, options, report)
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
        check_comparable(lm, name, prepared.examples, shape)
        _record(lm, name, prepared, archive, report)
        fractions = masks.masked_fractions(lm.model, zeros)
        device = lm.device
        del lm
        comparisons[name] = _compare(archive, name, prepared, options, arrays, device, report)
        arrays[f"masked_in/{name}"] = fractions.incoming.astype(np.float32)
        arrays[f"masked_out/{name}"] = fractions.outgoing.astype(np.float32)
    arrays.pop("best")
    return Result(arrays, tables_document(prepared, options, arrays, comparisons))


def _record(lm: LanguageModel, variant: str, prepared: Prepared, archive: Archive, report: Report) -> None:
    try:
        record(
            lm.model,
            [example.token_ids for example in prepared.examples],
            partial(archive.write, variant),
            layers=prepared.layers,
            on_batch=lambda done, total: report(f"record {variant}", done, total, "texts"),
        )
    except NotFinite as error:
        raise NotFinite(f"{lm.reference}: {error}") from error


def _score(
    archive: Archive,
    prepared: Prepared,
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
    arrays["rank"] = ranks_of(exact_score)
    return arrays


def _compare(
    archive: Archive,
    variant: str,
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Drops of one variant: `drop/<variant>` into the arrays, and its controls and words as a document."""
    shape = arrays["score"].shape
    ranks, words = arrays["rank"], arrays["word"]
    fallen = np.full(shape, np.nan)
    matched = (ranks > 0) & (ranks <= matched_count(ranks)) & (words >= 0)
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
        "words": [word_damage(word, arrays, fallen, options.seed) for word in range(len(prepared.positions.words))],
    }
