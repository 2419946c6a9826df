"""Splits the changes of all neurons of a pruned variant into own and upstream parts, layer by layer.

The inputs of each MLP are recorded in the passes that record activations (`nsa.recording`) and kept in temporary files
of the archive. The dense model's weights are read once more, from its memory-mapped checkpoint, while a variant is in
memory; so there is never a second model in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.loading import LanguageModel
from prunescope.nsa import scoring
from prunescope.nsa.archive import Archive
from prunescope.nsa.preparation import Options, Prepared, Report
from prunescope.nsa.split.changes import Marks, Side, split_block
from prunescope.nsa.split.divergence import Head, Predictions, comparable, divergences, find_head
from prunescope.nsa.split.form import Form, find_form, input_width
from prunescope.nsa.split.heads import Heads
from prunescope.nsa.split.sources import changed_weights, mean_inputs, writers
from prunescope.nsa.tables import top_count

CHECKED_TOKENS = 64
"""Number of tokens whose recorded activations a form must reproduce."""

CHECKED_WEIGHTS = 1 << 20
"""Maximum number of weights of one matrix with which a form is checked."""


def inputs_of(variant: str) -> str:
    """Return the name of the temporary file with the MLP inputs of a variant."""
    return f"inputs/{variant}"


def last_of(variant: str) -> str:
    """Return the name of the temporary file with the decoder's results of a variant."""
    return f"last/{variant}"


@dataclass(frozen=True)
class Splitter:
    """What the split of every variant needs: the dense model's forms (layer -> form, of the layers that have one) and
    head (None: it has none that is known), the name of its variant, the type in which it computed, the number of input
    dimensions of its MLPs, and the number of attention heads of a layer (None: they are unknown)."""

    dense: str
    dtype: torch.dtype
    width: int
    forms: dict[int, Form]
    head: Head | None
    attention_heads: int | None
    archive: Archive
    prepared: Prepared
    options: Options
    documents: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        lm: LanguageModel,
        dense: str,
        archive: Archive,
        prepared: Prepared,
        options: Options,
        heads: Heads | None,
    ) -> "Splitter":
        """Find the forms of all recorded layers, from the recorded inputs and activations of the dense model, and its
        head. `heads` are its attention heads, if they are known."""
        forms = {}
        tokens = min(CHECKED_TOKENS, len(prepared.positions.text))
        for layer, module in enumerate(decoder_layers(lm.model)):
            if layer not in prepared.layers:
                continue
            inputs = torch.from_numpy(archive.spooled(inputs_of(dense), layer, slice(0, tokens))).to(lm.device)
            neurons = np.arange(min(_neurons(archive), max(1, CHECKED_WEIGHTS // input_width(module))))
            recorded = archive.rows(dense, layer, neurons, np.arange(tokens)).astype(np.float32)
            form = find_form(module, inputs, torch.from_numpy(recorded).to(lm.device))
            if form is not None:
                forms[layer] = form
        head = find_head(lm.model, prepared.examples[0].token_ids)
        width = input_width(decoder_layers(lm.model)[0])
        count = heads.count if heads else None
        return cls(dense, lm.model.dtype, width, forms, head, count, archive, prepared, options)

    def measure(
        self,
        variant: str,
        lm: LanguageModel,
        weights: LanguageModel,
        arrays: dict[str, np.ndarray],
        report: Report,
    ) -> None:
        """Split the changes of a variant, whose model is `lm`; `weights` is the dense model, memory-mapped.

        Stores `own`, `word_own` and `changed` of the variant in the archive, and adds its `own_drop` and
        `upstream_drop` to `arrays` and its summary to `documents` (store/attributions/activations.py describes them).
        Does nothing if no layer has a form.
        """
        if not self.forms:
            return
        marks, change = Marks.of(self.prepared.positions), scoring.transform(self.options.activation)
        layers = decoder_layers(weights.model), decoder_layers(lm.model)
        parts = {kind: np.full(arrays["score"].shape, np.nan) for kind in ("own", "upstream", "dense")}
        shares = []
        for done, layer in enumerate(self.prepared.layers, start=1):
            if layer in self.forms:
                sides = [
                    Side(of[layer], dtype, partial(self.archive.spooled, inputs_of(name), layer))
                    for of, dtype, name in zip(layers, (self.dtype, lm.model.dtype), (self.dense, variant), strict=True)
                ]
                share = self._layer(variant, layer, sides, marks, change, arrays["word"][layer], parts, lm.device)
                shares.append({"layer": layer, "own": share})
            report(f"split {variant}", done, len(self.prepared.layers), "layers")
        for kind in ("own", "upstream"):
            known = parts["dense"] > 0
            drop = np.divide(-parts[kind], parts["dense"], out=np.full(known.shape, np.nan), where=known)
            arrays[f"{kind}_drop/{variant}"] = drop.astype(np.float32)
        self.documents[variant] = {"layers": shares, "top": _top(parts, arrays)}

    def diverge(self, variant: str, lm: LanguageModel, weights: LanguageModel, arrays: dict[str, np.ndarray]) -> None:
        """Add the array `kl` of a variant, whose model is `lm`; `weights` is the dense model, memory-mapped. Does
        nothing if the dense model's head is unknown or the variant's has another shape."""
        embeddings = [model.get_output_embeddings() for model in (weights.model, lm.model)]
        if self.head is None or not comparable(*embeddings):
            return
        sides = [
            Predictions(embedding, dtype, partial(self.archive.spooled, last_of(name), 0))
            for embedding, dtype, name in zip(
                embeddings, (self.dtype, lm.model.dtype), (self.dense, variant), strict=True
            )
        ]
        tokens = len(self.prepared.positions.text)
        arrays[f"kl/{variant}"] = divergences(self.head, sides[0], sides[1], tokens, lm.device)

    def document(self) -> dict[str, Any]:
        """Return the JSON document of all variants, with the layers whose MLP has no form (`missing`), the names of the
        other layers' first matrices, and the number of attention heads of a layer among the writers (None: heads are
        left out)."""
        missing = [layer for layer in self.prepared.layers if layer not in self.forms]
        matrices = {str(layer): form.names for layer, form in self.forms.items()}
        return {
            "missing": missing,
            "matrices": matrices,
            "width": self.width,
            "heads": self.attention_heads,
            "variants": self.documents,
        }

    def writers(self, lm: LanguageModel, heads: Heads | None) -> dict[str, np.ndarray]:
        """Return the arrays `writers` and `writer_sizes` of the dense model, whose activations and attention `heads`
        are still in temporary files; none if its MLPs do not read what they write."""
        found = writers(lm.model, self.prepared.layers, self.archive, self.dense, self._influential, heads)
        return {} if found is None else {"writers": found[0], "writer_sizes": found[1]}

    @property
    def _influential(self) -> np.ndarray:
        """The influential tokens that are counted."""
        return np.flatnonzero(self.prepared.positions.influential & self.prepared.positions.counted)

    def _layer(
        self,
        variant: str,
        layer: int,
        sides: list[Side],
        marks: Marks,
        change: Callable[[torch.Tensor], torch.Tensor],
        words: np.ndarray,
        parts: dict[str, np.ndarray],
        device: torch.device,
    ) -> float | None:
        """Split one layer. Fills in `parts`, the parts of the change of A on each neuron's own word and its dense A
        there, and returns the share of the change of all neurons that their own weights explain: the sum of own part
        times change over the sum of squared changes, over the counted tokens; None without any change."""
        found = []
        exact = all(side.dtype == torch.float32 for side in sides)
        for first, after in self.archive.blocks(variant, layer):
            neurons = slice(first, first + len(after))
            recorded = (self.archive.stored(self.dense, layer, neurons), after) if exact else None
            block = split_block(self.forms[layer], sides[0], sides[1], neurons, marks, change, device, recorded)
            self.archive.store(f"own/{variant}", layer, neurons, block.own)
            found.append((block.words, block.product, block.square))
        dense, own, upstream = np.concatenate([means for means, _, _ in found], axis=1)
        self.archive.keep(f"word_own/{variant}", layer, own.astype(np.float32))
        inputs = mean_inputs(sides[1].inputs, self._influential)
        self.archive.keep(f"changed/{variant}", layer, changed_weights(sides[0], sides[1], len(words), inputs, device))
        for kind, means in (("dense", dense), ("own", own), ("upstream", upstream)):
            parts[kind][layer] = _on(means, words)
        product, square = sum(product for _, product, _ in found), sum(square for _, _, square in found)
        return product / square if square else None


def _top(parts: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> dict[str, float] | None:
    """Return the pooled drop of the top neurons on their own words, and its two parts; None if none of them has a
    drop."""
    ranks = arrays["rank"]
    chosen = (ranks > 0) & (ranks <= top_count(ranks)) & (parts["dense"] > 0)
    if not chosen.any():
        return None
    before, own, upstream = (float(parts[kind][chosen].sum()) for kind in ("dense", "own", "upstream"))
    return {
        "neurons": int(chosen.sum()),
        "drop": -(own + upstream) / before,
        "own": -own / before,
        "upstream": -upstream / before,
    }


def _neurons(archive: Archive) -> int:
    return int(archive.spans()[-1].stop)


def _on(means: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return each neuron's value on its own word; NaN for a neuron without one."""
    own: np.ndarray = np.where(words >= 0, np.take_along_axis(means, np.maximum(words, 0)[:, None], 1)[:, 0], np.nan)
    return own
