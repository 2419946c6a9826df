"""Reads the data of an attribution other than activations: ranks, words, drops, controls, masked fractions.

The worker computes all of it. `AttributionTables` reads a few arrays [layers, neurons] once and caches them. The
classes that it returns are in documents.py.

`score` is Eq. 1 of arXiv 2503.01542. `rank` is counted from 1 over all layers. `word` is the own word: the influential
word with the highest A_m, the mean (transformed) activation over the word's tokens in the dense model. `drop` =
1 - A_m'/A_m in a pruned variant for the own word; None if A_m <= 0. Variants have the names of the store (`pruned-1`,
...); `variant` None means the first pruned one, and an unknown variant raises LookupError.

Data that is not an array is in the attributes of the group `tables`: `layers`, `labels`, `words`, `summary`;
`comparisons`, which maps each variant to `controls`, `words` (a row for each of the words, in the same order) and
`layers` ({layer, controls}); `split`, with the layers that could not be split into own and upstream parts (`missing`)
and a VariantSplit for each variant (`variants`); and `causal`, if the causal stage was requested (causal.py).
Data that attributions of format 1 lack (see activations.py) is None or empty.

Neurons are often addressed by their flat index, layer * neurons_per_layer + neuron.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.neurons import format_neuron
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.causal import Causal
from prunescope.store.attributions.documents import (
    Controls,
    LayerRow,
    MaskedFraction,
    NeuronDetail,
    NeuronRow,
    NeuronWord,
    RankMap,
    Spread,
    Summary,
    VariantSplit,
    WordRow,
)
from prunescope.store.attributions.split import changed_weights, drop_parts, has_head_writers, split_of
from prunescope.text.words import fold


class AttributionTables:
    """Reads the ranks, words, drops and controls of one attribution."""

    def __init__(self, store: ActivationStore) -> None:
        self.store = store

    @property
    def words_list(self) -> list[str]:
        """The influential words, in the order of the last axis of the arrays `word_activations`."""
        return [row["word"] for row in self.store.tables["words"]]

    def summary(self) -> Summary:
        """The settings and counts of the attribution."""
        return Summary(**self.store.tables["summary"])

    def neurons(
        self,
        *,
        layer: int | None = None,
        word: str | None = None,
        sort: Literal["rank", "drop"] = "rank",
        by: NDArray[np.floating] | None = None,
        variant: str | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[NeuronRow], int]:
        """(neurons `offset` to `offset + limit`, number of all), sorted by rank or by the drop of `variant`, largest
        first. These are the ranked neurons; with `by` [layers, neurons], all recorded ones, sorted by `by`. `layer`
        selects neurons of one layer, `word` those with this own word in any spelling (case, apostrophes)."""
        if layer is not None:
            self.store.check(layer)
        places = self._ordered(by, layer)
        if word is not None:
            spelled = fold(word)
            wanted = [i for i, known in enumerate(self._folded) if known == spelled]
            places = places[np.isin(self.store.array("word").ravel()[places], wanted)]
        if sort == "drop":
            drop = self.store.array(f"drop/{self._variant(variant)}").ravel()[places]
            places = places[np.argsort(-drop, kind="stable")]  # NaN comes last; ties are sorted by rank
        return self._rows(places[offset : offset + limit], variant), len(places)

    def best_of_words(self, variant: str | None = None) -> dict[str, NeuronRow]:
        """Influential word -> best-ranked neuron with this own word; words that are no neuron's own word are
        omitted."""
        matched = self.store.array("word").ravel()[self._ranked]
        words, first = np.unique(matched, return_index=True)  # the first neuron with a word has the best rank
        rows = self._rows(self._ranked[first[words >= 0]], variant)
        return {row.word: row for row in rows if row.word is not None}

    def answering(
        self, *, word: str | None = None, token: int | None = None, layer: int | None = None
    ) -> list[tuple[NeuronRow, float]]:
        """(neuron, share) of the neurons with the largest share of their total activation on a word or on a token,
        largest first. `word` may have any spelling; `token` is the token's index over all examples; exactly one of them
        is given. `layer` None: over all layers. Raises LookupError if there is no such word or token."""
        name, at = self._item(word, token)
        if self.store.format < 2:
            return []
        first = 0
        if layer is None:
            neurons, shares = (self.store.array(f"{name}_{kind}")[at] for kind in ("neurons", "scores"))
        else:
            self.store.check(layer)
            neurons, shares = (self.store.array(f"{name}_{kind}_by_layer")[layer, at] for kind in ("neurons", "scores"))
            first = layer * self.store.neurons
        found = neurons >= 0
        rows = self._rows(first + neurons[found].astype(np.int64), None)
        return list(zip(rows, shares[found].tolist(), strict=True))

    def _item(self, word: str | None, token: int | None) -> tuple[str, int]:
        """("word" or "token", its index along the arrays of this name). Raises LookupError if there is none."""
        if word is not None:
            spelled = fold(word)
            if spelled not in self._folded:
                raise LookupError(f"word {word!r}: the words are {', '.join(self.words_list)}")
            return "word", self._folded.index(spelled)
        if token is None or not 0 <= token < self.store.tokens:
            raise LookupError(f"token {token}: the tokens are 0 to {self.store.tokens - 1}")
        return "token", token

    def of_text(self, place: int, *, layer: int | None = None, limit: int = 10) -> list[NeuronRow]:
        """The best-ranked neurons, at most `limit`, whose own word occurs in the example with index `place`. `layer`
        None: over all layers."""
        here = {fold(match["word"]) for match in self.store.examples[place]["words"]}
        wanted = [i for i, word in enumerate(self._folded) if word in here]
        places = self._ranked if layer is None else self._of_layer(layer)
        chosen = places[np.isin(self.store.array("word").ravel()[places], wanted)][:limit]
        return self._rows(chosen, None)

    def activations_in_text(self, layer: int, neuron: int, place: int) -> dict[str, float | None]:
        """Variant -> a neuron's mean activation on its own word in the example with index `place`; empty for
        attributions of format 1."""
        if self.store.format < 2:
            return {}
        return {name: _number(values[place]) for name, values in self.store.texts_of(layer, neuron).items()}

    def damaged(
        self,
        *,
        variant: str | None = None,
        layer: int | None = None,
        by: NDArray[np.floating] | None = None,
        limit: int = 20,
    ) -> list[NeuronRow]:
        """The top neurons, over all layers or in one, with the largest drop on their own word, largest first, at most
        `limit`. With `by` [layers, neurons], as many neurons with the largest values of `by`."""
        if layer is not None:
            self.store.check(layer)
        count = self.summary().matched if layer is None else self.summary().matched_in_layer
        places = self._ordered(by, layer)[:count]
        drop = self.store.array(f"drop/{self._variant(variant)}").ravel()[places]
        order = np.argsort(-drop, kind="stable")[: int(np.isfinite(drop).sum())]
        return self._rows(places[order[:limit]], variant)

    def rows(self, places: Sequence[tuple[int, int]], variant: str | None = None) -> list[NeuronRow]:
        """The neurons at these (layer, neuron), in the given order. Raises NoSuchNeuron if one does not exist or its
        layer was not recorded."""
        for layer, neuron in places:
            self.store.check(layer, neuron)
        return self._rows(np.asarray([layer * self.store.neurons + neuron for layer, neuron in places], int), variant)

    def row(self, layer: int, neuron: int, variant: str | None = None) -> NeuronRow:
        """One neuron. Raises NoSuchNeuron as `rows` does."""
        self.store.check(layer, neuron)
        return self._rows(np.asarray([layer * self.store.neurons + neuron]), variant)[0]

    def neuron(self, layer: int, neuron: int, variant: str | None = None) -> NeuronDetail:
        """One neuron with its words and, for each pruned variant, its drop and the share of its weights that was
        pruned. Raises NoSuchNeuron as `rows` does."""
        row = self.row(layer, neuron, variant)
        pruned = self.store.variants[1:]
        masked = {
            name: MaskedFraction(
                incoming=_number(self.store.array(f"masked_in/{name}")[layer, neuron]),
                outgoing=_number(self.store.array(f"masked_out/{name}")[layer, neuron]),
            )
            for name in pruned
        }
        return NeuronDetail(
            **row.model_dump(exclude={"drop", "low", "high", "own", "upstream"}),
            masked_fraction=masked[self._variant(variant)] if pruned else None,
            masked_fractions=masked,
            changed_weights=changed_weights(self.store, layer, neuron),
            head_writers=has_head_writers(self.store),
            drop_parts=drop_parts(self.store, layer, neuron),
            drops={name: _number(self.store.array(f"drop/{name}")[layer, neuron]) for name in pruned},
            intervals={name: self._interval(name, layer, neuron) for name in pruned},
            spread=self._spread(layer, neuron),
            words=self._words_of(layer, neuron),
        )

    def words(self, variant: str | None = None, layer: int | None = None) -> list[WordRow]:
        """All influential words, sorted by their pooled drop in `variant`, largest first; words without a defined drop
        come last. With `layer`, the drop is that of neurons in this layer."""
        damage = self._damage(variant, layer) if len(self.store.variants) > 1 else []
        nothing = {"neurons": 0, "activation": None, "drop": None, "low": None, "high": None}
        rows = [
            WordRow(**known, **(damage[place] if damage else nothing))
            for place, known in enumerate(self.store.tables["words"])
        ]
        return sorted(rows, key=lambda row: (row.drop is None, -(row.drop or 0.0)))

    def _damage(self, variant: str | None, layer: int | None) -> list[dict[str, Any]]:
        """The fields `neurons`, `activation`, `drop`, `low` and `high` of a WordRow for each of the words, in their
        order; empty for a layer in format 1."""
        name = self._variant(variant)
        if layer is None:
            rows: list[dict[str, Any]] = self.store.tables["comparisons"][name]["words"]
            return rows
        self.store.check(layer)
        if self.store.format < 2:
            return []
        columns = ("neurons", "activation", "drop", "low", "high")
        found = [
            {column: _number(value) for column, value in zip(columns, values, strict=True)}
            for values in self.store.array(f"word_damage/{name}")[layer]
        ]
        return [row | {"neurons": int(row["neurons"] or 0)} for row in found]

    def controls(self, variant: str | None = None, layer: int | None = None) -> Controls | None:
        """The comparison of the top neurons with both controls, over all layers or in one. None without a pruned
        variant, and for a layer without a comparison."""
        if len(self.store.variants) < 2:
            return None
        comparison = self.store.tables["comparisons"][self._variant(variant)]
        if layer is None:
            return Controls(**comparison["controls"])
        self.store.check(layer)
        found = [row["controls"] for row in comparison.get("layers", ()) if row["layer"] == layer]
        return Controls(**found[0]) if found else None

    def split(self, variant: str | None = None) -> VariantSplit | None:
        """The split of a variant's changes into own and upstream parts; None if the attribution has none."""
        return split_of(self.store, self._variant(variant)) if len(self.store.variants) > 1 else None

    def placebo(self, variant: str | None = None, layer: int | None = None) -> NDArray[np.float32] | None:
        """What placebo words give [draws, 2]: drop of the top neurons, over all layers or of one, minus that of the
        activation-matched and of the random controls; NaN where undefined. None without placebo words."""
        if self.store.format < 3 or not self.summary().placebo or len(self.store.variants) < 2:
            return None
        draws: NDArray[np.float32] = self.store.array(f"placebo/{self._variant(variant)}")[
            0 if layer is None else 1 + layer
        ]
        return draws

    def causal(self) -> Causal | None:
        """The results of the causal stage; None if it was not requested."""
        found = self.store.tables.get("causal")
        return None if found is None else Causal(**found)

    def rank_map(
        self, *, ranks: int = 20, variant: str | None = None, by: NDArray[np.floating] | None = None
    ) -> RankMap:
        """The `ranks` best neurons of every recorded layer, by rank or by `by` [layers, neurons]."""
        layers = self.store.tables["layers"]
        best = [self._rows(self._ordered(by, layer)[:ranks], variant) for layer in layers]
        blank = [None] * ranks
        return RankMap(
            layers=layers,
            ranks=list(range(1, ranks + 1)),
            scores=[[*(row.score for row in rows), *blank][:ranks] for rows in best],
            neurons=[[*(row.neuron for row in rows), *blank][:ranks] for rows in best],
            words=[[*(row.word for row in rows), *blank][:ranks] for rows in best],
            drops=[[*(row.drop for row in rows), *blank][:ranks] for rows in best],
        )

    def layers(self, *, top: int = 20, variant: str | None = None) -> list[LayerRow]:
        """Every recorded layer, first to last, with means over its `top` best neurons."""
        split = self.split(variant)
        own = {row.layer: row.own for row in split.layers} if split else {}
        rows = []
        for layer in self.store.tables["layers"]:
            places = self._of_layer(layer)
            best = self._rows(places[:top], variant)
            controls = self.controls(variant, layer)
            rows.append(
                LayerRow(
                    layer=layer,
                    ranked=len(places),
                    best=best[0] if best else None,
                    score=_mean([row.score for row in best]),
                    drop=_mean([row.drop for row in best]),
                    own=own.get(layer),
                    over_activation_matched=controls.over_activation_matched if controls else None,
                    p_activation_matched=controls.p_activation_matched if controls else None,
                )
            )
        return rows

    def at_rank(self, rank: int) -> tuple[int, int] | None:
        """(layer, neuron) of the neuron with this rank, counted from 1; None if no neuron has it."""
        if not 1 <= rank <= len(self._ranked):
            return None
        layer, neuron = divmod(int(self._ranked[rank - 1]), self.store.neurons)
        return layer, neuron

    @cached_property
    def masked_means(self) -> dict[str, MaskedFraction]:
        """Pruned variant -> the mean shares of pruned weights over all neurons of the recorded layers."""
        layers = self.store.tables["layers"]

        def mean(name: str) -> float | None:
            values = self.store.array(name)[layers].ravel()
            known = values[np.isfinite(values)]
            return float(known.mean(dtype=np.float64)) if known.size else None

        return {
            name: MaskedFraction(incoming=mean(f"masked_in/{name}"), outgoing=mean(f"masked_out/{name}"))
            for name in self.store.variants[1:]
        }

    @cached_property
    def _folded(self) -> list[str]:
        """The canonical spellings of `words_list`, by which words are found in any spelling."""
        return [fold(word) for word in self.words_list]

    @cached_property
    def _ranked(self) -> NDArray[np.int64]:
        """Flat indices (layer * neurons_per_layer + neuron) of all ranked neurons, best first."""
        rank = self.store.array("rank").ravel()
        places: NDArray[np.int64] = np.flatnonzero(rank > 0)
        ranked: NDArray[np.int64] = places[np.argsort(rank[places], kind="stable")]
        return ranked

    def _ordered(self, by: NDArray[np.floating] | None, layer: int | None) -> NDArray[np.int64]:
        """Flat indices of the ranked neurons, best first; with `by` [layers, neurons], of all recorded neurons, the
        largest value first. `layer` None: of all layers."""
        if by is None:
            return self._ranked if layer is None else self._of_layer(layer)
        layers = self.store.tables["layers"] if layer is None else [layer]
        places = np.concatenate([np.arange(self.store.neurons) + each * self.store.neurons for each in layers])
        ordered: NDArray[np.int64] = places[np.argsort(-by.ravel()[places], kind="stable")]
        return ordered

    def _of_layer(self, layer: int) -> NDArray[np.int64]:
        """Flat indices of the ranked neurons of one layer, best first."""
        places: NDArray[np.int64] = self._ranked[self._ranked // self.store.neurons == layer]
        return places

    def _variant(self, name: str | None) -> str:
        """The name of a pruned variant (None: the first one). Raises LookupError if there is none."""
        pruned = self.store.variants[1:]
        if name is None and pruned:
            return pruned[0]
        if name is None or name not in pruned:
            raise LookupError(f"variant {name}: the pruned variants are {', '.join(pruned) or 'none'}")
        return name

    def _rows(self, places: NDArray[np.int64], variant: str | None) -> list[NeuronRow]:
        """The neurons with these flat indices, in the given order."""
        words = self.words_list
        names = ("score", "p_value", "q_value", "lift")
        columns = {name: self.store.array(name).ravel()[places] for name in names}
        ranks, matched = self.store.array("rank").ravel()[places], self.store.array("word").ravel()[places]
        fields = ("drop", "low", "high", "own", "upstream")
        drops: dict[str, NDArray[Any]] = dict.fromkeys(fields, np.full(len(places), np.nan))
        if variant is not None or len(self.store.variants) > 1:
            for column, name in self._drop_arrays(self._variant(variant)).items():
                drops[column] = self.store.array(name).ravel()[places]
        return [
            NeuronRow(
                layer=int(place) // self.store.neurons,
                neuron=int(place) % self.store.neurons,
                name=format_neuron(*divmod(int(place), self.store.neurons)),
                rank=int(ranks[i]) or None,
                word=words[matched[i]] if matched[i] >= 0 else None,
                **{name: _number(values[i]) for name, values in (columns | drops).items()},
            )
            for i, place in enumerate(places)
        ]

    def _drop_arrays(self, variant: str) -> dict[str, str]:
        """Field of NeuronRow (`drop`, `low`, `high`, `own`, `upstream`) -> name of its array for a variant."""
        bounds = {"low": f"drop_low/{variant}", "high": f"drop_high/{variant}"} if self.store.format >= 2 else {}
        parts = {kind: f"{kind}_drop/{variant}" for kind in ("own", "upstream")} if self.store.has_split else {}
        return {"drop": f"drop/{variant}", **bounds, **parts}

    def _interval(self, variant: str, layer: int, neuron: int) -> tuple[float, float] | None:
        if self.store.format < 2:
            return None
        low, high = (float(self.store.array(f"drop_{side}/{variant}")[layer, neuron]) for side in ("low", "high"))
        return (low, high) if np.isfinite(low) else None

    def _spread(self, layer: int, neuron: int) -> dict[str, Spread]:
        if self.store.format < 2:
            return {}
        found = {}
        for variant, row in self.store.spread_of(layer, neuron).items():
            mean, minimum, maximum, *counts = row.tolist()
            histogram = [int(count) for count in counts]
            found[variant] = Spread(mean=mean, minimum=minimum, maximum=maximum, histogram=histogram)
        return found

    def _words_of(self, layer: int, neuron: int) -> list[NeuronWord]:
        activations = self.store.words_of(layer, neuron)
        dense = activations[self.store.variants[0]]
        own = self.store.words_own_of(layer, neuron)
        rows = []
        for place in np.argsort(-dense, kind="stable"):
            of_word = {name: _number(values[place]) for name, values in activations.items()}
            rows.append(
                NeuronWord(
                    word=self.words_list[place],
                    values=of_word,
                    drop={name: _drop(float(dense[place]), of_word[name]) for name in self.store.variants[1:]},
                    own={name: float(parts[place]) for name, parts in own.items() if np.isfinite(parts[place])},
                )
            )
        return rows


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _drop(dense: float, pruned: float | None) -> float | None:
    return 1.0 - pruned / dense if pruned is not None and dense > 0 else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
