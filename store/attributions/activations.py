"""The artefact of one attribution: a Zarr v3 group, written by the worker (writer.py) and read by the server.

    <attribution>/
      attributes            spec, variants, models, examples
      activations/<variant> [layers, neurons, tokens] float16   signed raw values; NaN in a layer that was not recorded
      score, p_value        [layers, neurons] float32           NaN: not ranked, or no permutations were requested
      lift, z, q_value      [layers, neurons] float32
      sinks                 [tokens] bool                       left out of all sums: position 0 of every text, and
                            attention sinks; all false if they are counted
      rank                  [layers, neurons] int32             1 = the highest Score over all layers; 0 = not ranked
      word                  [layers, neurons] int32             own word: index into the words of `tables`; -1 = none
      spread/<variant>      [layers, neurons, 19] float32       raw values over the counted tokens: mean, minimum,
                            maximum, numbers of tokens in 16 equal bins of the neuron's range in the dense model
      own/<variant>         [layers, neurons, tokens] float16   pruned variants: the part of the change of the raw
                            activation that is due to the neuron's own weights (nsa/split/changes.py); the rest of
                            pruned - dense is the upstream part
      word_own/<variant>    [layers, neurons, words] float32    the own part of the change of A_m
      own_drop/<variant>, upstream_drop/<variant>               [layers, neurons] float32: the parts of the drop on the
                            own word
      deviation             [layers, neurons] float32           standard deviation of the dense activations over the
                            counted tokens; missing in attributions of earlier versions
      changed/<variant>     [layers, neurons, 10] float32       the 5 changed weights that moved the neuron's
                            pre-activations most: matrix * width + input dimension, then their contributions
                            (nsa/split/sources.py); NaN: fewer weights have changed
      writers, writer_sizes [layers, width, 5]                  the neurons of lower layers (layer * neurons + neuron)
                            and attention heads (layers * neurons + layer * heads + head, where `heads` is an entry of
                            `split` in `tables`) that write most into each input dimension (-1: none), and how much;
                            missing if the MLPs do not read what they write; 3 in earlier versions, without heads
      kl/<variant>          [tokens] float32                    KL(dense || pruned) of the next-token prediction, in
                            nats; missing if the model's head is of an unknown form
      placebo/<variant>     [1 + layers, draws, 2] float32      what placebo words give: drop of the top neurons minus
                            that of the activation-matched and of the random controls; first over all layers, then of
                            each layer; missing without placebo words
      drop/<variant>, drop_low/<variant>, drop_high/<variant>   [layers, neurons] float32
      masked_in/<variant>, masked_out/<variant>                 [layers, neurons] float32
      word_activations/<variant>                                [layers, neurons, words] float32
      text_activations/<variant>                                [layers, neurons, texts] float32, on the own word
      word_damage/<variant> [layers, words, 5] float32          neurons, activation, drop, low, high of the word's top
                            neurons in each layer
      word_neurons, word_scores, token_neurons, token_scores    [words or tokens, top]: the neurons with the largest
                            share of their total activation on a word or token, over all layers (flat indices layer *
                            neurons + neuron; -1: no further neuron), and these shares
      word_neurons_by_layer, word_scores_by_layer, token_neurons_by_layer, token_scores_by_layer
                            [layers, words or tokens, top]      the same within each layer
      tables                a group with the data that is not an array, in its attributes (see tables.py)

    and, only if the causal stage was requested,

      causal_neurons        [1 + draws, neurons] int32          flat indices of the top neurons, best first, then of the
                            neurons of every draw
      causal_rows           [rows] int32                        indices of the rows of its task
      causal_outcomes/<variant>                                 [2 + draws, 2, rows] float32: unchanged model, top
                            neurons, every draw; whether the row is correct, and the probability of the correct choice

`format` in `tables` is 3. Attributions of format 2 lack `sinks` (all tokens but the special ones are counted) and
`placebo`; their q-values are from a normal tail, and the `comparisons` in `tables` are not cross-fitted.
Attributions of format 1, which have no such entry, also lack `spread`, the bounds of drops, `text_activations`,
`word_damage` and all arrays from `word_neurons` on.
Attributions without the entry `split` in `tables` lack the arrays of own and upstream parts; in layers whose MLP could
not be split (`missing` of this entry) these are NaN.

The examples are concatenated along `tokens`, without padding. All tokens of one neuron are in one chunk. All chunks of
a layer are in one shard, or in several if the layer exceeds MAX_SHARD_BYTES, because a shard is written as a whole.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore

from prunescope.store.artefacts.manifest import Damaged, verify
from prunescope.store.attributions.chunks import RowReader

ROOT = "zarr.json"
REMEDY = "delete it and run its job again"
ROWS = (
    "activations",
    "word_activations",
    "text_activations",
    "spread",
    "own",
    "word_own",
    "changed",
)  # arrays that are read one neuron at a time


class NoSuchNeuron(LookupError):
    """Raised for a layer or neuron that the attribution does not have. The message gives the limits."""


class ActivationStore:
    """Reads one attribution from a folder or any fsspec address; each group and array is opened once. Thread-safe.

    Raises FileNotFoundError if there is no attribution, and Damaged (`store/artefacts/manifest.py`) if it differs from
    what was written. Opening it verifies the sizes of all files and the checksums of the metadata by the manifest.
    Reading values verifies the checksums of their chunks.
    """

    def __init__(self, location: str | Path) -> None:
        address = str(location)
        self._folder = Path(address)
        if "://" not in address:
            verify(self._folder, contents=lambda name: name.endswith("zarr.json"), remedy=REMEDY)
        store = FsspecStore.from_url(address, read_only=True) if "://" in address else address
        self._opened: dict[str, zarr.Array[Any]] = {}
        self._small: dict[str, NDArray[Any]] = {}
        self._lock = threading.Lock()
        with self.reading(ROOT):
            self._root = zarr.open_group(store, mode="r", zarr_format=3)
            attributes: dict[str, Any] = dict(self._root.attrs.asdict())
            self.spec: dict[str, Any] = attributes["spec"]
            self.variants: list[str] = attributes["variants"]
            self.models: list[str] = attributes["models"]
            self.examples: list[dict[str, Any]] = attributes["examples"]
            self._activations = {variant: self._array(f"activations/{variant}") for variant in self.variants}
            self.layers, self.neurons, self.tokens = self._activations[self.variants[0]].shape
        names = [f"{kind}/{variant}" for kind in ROWS for variant in self.variants]
        local = {} if "://" in address else {name: RowReader.of(Path(address) / name) for name in names}
        self._rows: dict[str, RowReader] = {name: reader for name, reader in local.items() if reader is not None}

    @cached_property
    def tables(self) -> dict[str, Any]:
        """The attributes of the group `tables`; see tables.py."""
        with self.reading("tables"):
            return dict(self._root["tables"].attrs.asdict())

    @property
    def format(self) -> int:
        """The version of the format: 3 is the present one; the docstring of this module says what 1 and 2 lack."""
        return int(self.tables.get("format", 1))

    @property
    def labels(self) -> list[str]:
        """The display names of the variants, in order."""
        return list(self.tables["labels"])

    @property
    def score(self) -> NDArray[np.float32]:
        """Scores [layers, neurons]; NaN for neurons that are not ranked."""
        return self.array("score")

    @property
    def p_value(self) -> NDArray[np.float32]:
        """p-values of the Scores [layers, neurons]; NaN without permutations, and for neurons that are not ranked."""
        return self.array("p_value")

    @cached_property
    def sinks(self) -> NDArray[np.bool_]:
        """The mask [tokens] of position 0 of every text and of attention sinks, which are in no sum; all false if they
        are counted, as in formats 1 and 2."""
        return self.array("sinks") if self.format >= 3 else np.zeros(self.tokens, dtype=bool)

    @cached_property
    def spans(self) -> list[slice]:
        """The slice of each example along the axis of tokens."""
        ends = np.cumsum([len(example["token_ids"]) for example in self.examples]).tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def require(self, *names: str) -> None:
        """Raise Damaged if one of these arrays is missing. Does not read their values."""
        for name in names:
            with self.reading(name):
                self._array(name)

    def has(self, name: str) -> bool:
        """Whether the attribution has an array with this name. Does not read its values."""
        with self.reading(name):
            return name in self._root

    def array(self, name: str) -> NDArray[Any]:
        """The whole array with this name, read once and cached. Raises KeyError if the attribution has no such
        array."""
        values = self._small.get(name)
        if values is None:
            array = self._array(name)
            with self.reading(name):
                values = self._small[name] = np.asarray(array[...])
        return values

    def check(self, layer: int, neuron: int = 0) -> None:
        """Raise NoSuchNeuron if the layer does not exist or was not recorded, or if the neuron does not exist."""
        if not 0 <= layer < self.layers:
            raise NoSuchNeuron(f"layer {layer}: this model's layers are 0 to {self.layers - 1}")
        if layer not in self.tables["layers"]:
            raise NoSuchNeuron(f"layer {layer} was not recorded; recorded are {_listed(self.tables['layers'])}")
        if not 0 <= neuron < self.neurons:
            raise NoSuchNeuron(f"neuron {neuron}: the neurons of a layer are 0 to {self.neurons - 1}")

    def neuron(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Variant -> activations [tokens] of one neuron. Reads one chunk for each variant."""
        self.check(layer, neuron)
        return {name: self._row(f"activations/{name}", layer, neuron) for name in self.variants}

    def row_of(self, variant: str, layer: int, neuron: int) -> NDArray[np.float32]:
        """Activations [tokens] of one neuron in one variant."""
        self.check(layer, neuron)
        return self._row(f"activations/{variant}", layer, neuron)

    def layer(self, layer: int, neurons: Sequence[int]) -> dict[str, NDArray[np.float32]]:
        """Variant -> activations [neurons, tokens] of some neurons of one layer, in the order of `neurons`."""
        for neuron in neurons:
            self.check(layer, neuron)
        self.check(layer)
        if not neurons:
            return {name: np.empty((0, self.tokens), np.float32) for name in self._activations}
        places, back = np.unique(np.asarray(neurons), return_inverse=True)
        with self.reading(f"layer {layer} of activations"):
            return {
                name: np.asarray(a.oindex[layer, places, :], dtype=np.float32).reshape(len(places), -1)[back]
                for name, a in self._activations.items()
            }

    def words_of(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Variant -> A_m [words] of one neuron: its mean activation over the tokens of each influential word."""
        self.check(layer, neuron)
        return {name: self._row(f"word_activations/{name}", layer, neuron) for name in self.variants}

    def texts_of(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Variant -> mean activation [texts] of one neuron on its own word in each text; NaN for texts without the
        word."""
        self.check(layer, neuron)
        return {name: self._row(f"text_activations/{name}", layer, neuron) for name in self.variants}

    def spread_of(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Variant -> statistics [19] of one neuron: mean, minimum, maximum, and the 16 bins of its histogram."""
        self.check(layer, neuron)
        return {name: self._row(f"spread/{name}", layer, neuron) for name in self.variants}

    @property
    def has_split(self) -> bool:
        """Whether the changes of activations are split into own and upstream parts in any layer."""
        return bool(self.tables.get("split", {}).get("variants"))

    def own_of(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Pruned variant -> own part [tokens] of the change of one neuron's activations; empty without a split, NaN in
        a layer that could not be split."""
        self.check(layer, neuron)
        return self._of_variants("own", layer, neuron)

    def words_own_of(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Pruned variant -> own part [words] of the change of one neuron's A_m; empty without a split."""
        self.check(layer, neuron)
        return self._of_variants("word_own", layer, neuron)

    def changed_of(self, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        """Pruned variant -> the row [10] of `changed` of one neuron; empty without a split."""
        self.check(layer, neuron)
        return self._of_variants("changed", layer, neuron)

    def _of_variants(self, kind: str, layer: int, neuron: int) -> dict[str, NDArray[np.float32]]:
        names = self.variants[1:] if self.has_split else []
        return {name: self._row(f"{kind}/{name}", layer, neuron) for name in names}

    def _row(self, name: str, layer: int, neuron: int) -> NDArray[np.float32]:
        """One neuron's row of an array [layers, neurons, columns], by the fast reader if the array has its format."""
        reader = self._rows.get(name)
        array = None if reader is not None else self._array(name)
        with self.reading(f"layer {layer}, neuron {neuron} of {name}"):
            if reader is not None:
                return reader.row(layer, neuron).astype(np.float32)
            assert array is not None
            return np.asarray(array[layer, neuron, :], dtype=np.float32)

    @contextlib.contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Inside the block, convert any exception to Damaged, which names `what` was read: Zarr, its codecs and
        malformed documents raise many different classes. MemoryError passes unchanged, and so does FileNotFoundError
        for ROOT."""
        try:
            yield
        except (MemoryError, Damaged):
            raise
        except Exception as error:
            if what == ROOT and isinstance(error, FileNotFoundError):
                raise  # there is no attribution
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise Damaged(self._folder, what, f"cannot be read ({reason})", REMEDY) from error

    def _array(self, name: str) -> "zarr.Array[Any]":
        with self._lock:
            if name not in self._opened:
                found = self._root.get(name)
                if not isinstance(found, zarr.Array):
                    raise KeyError(f"this attribution has no array {name}")
                self._opened[name] = found
            return self._opened[name]


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(str(layer) for layer in layers)
