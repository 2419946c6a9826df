"""Runs an attribution: the three steps of Neuron Semantic Attribution in order, with one model in memory at a time.

Activations are stored in an archive on disk (`nsa/archive.py`) and processed in pieces, so that memory use depends
neither on the number of texts nor on the number of variants.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from prunescope.lm.loading import LanguageModel
from prunescope.nsa import masks
from prunescope.nsa.archive import Archive
from prunescope.nsa.damage import baseline, compare
from prunescope.nsa.errors import NotFinite
from prunescope.nsa.matching import match
from prunescope.nsa.preparation import Options, Prepared, Report, check, check_comparable, prepare, shape_of
from prunescope.nsa.recording import SeeHidden, record
from prunescope.nsa.sinks import SinkFinder
from prunescope.nsa.split.heads import Heads, attention_of, heads_of, spool_influential
from prunescope.nsa.split.splitter import Splitter, inputs_of, last_of
from prunescope.nsa.tables import tables_document
from prunescope.nsa.texts import Text

__all__ = ["DENSE", "Archive", "Options", "Report", "Result", "attribute", "variant_names"]

DENSE = "dense"


@dataclass(frozen=True)
class Result:
    """The results that are stored in addition to the archive's activations: arrays by name, and the JSON document
    `tables`. store/attributions/activations.py describes their formats."""

    arrays: dict[str, np.ndarray]
    tables: dict[str, Any]


def variant_names(pruned: int) -> list[str]:
    """Return the names of the variants in order: `dense`, `pruned-1`, ..., `pruned-<pruned>`."""
    return [DENSE, *(f"pruned-{number}" for number in range(1, pruned + 1))]


def attribute(
    dense: Callable[[], LanguageModel],
    pruned: Sequence[Callable[[], LanguageModel]],
    texts: Sequence[Text],
    options: Options,
    open_archive: Callable[[list[dict[str, Any]], int, int], Archive],
    report: Report = lambda stage, done, total, unit, message="": None,
    weights: Callable[[], LanguageModel] | None = None,
) -> Result:
    """Run the three steps of an attribution. `dense` and each of `pruned` load a model when called; each is called
    once, when its model is needed. `weights` opens the dense model again, for reading its weights beside each variant
    (`lm.loading.load(..., resident=False)`, which does not take the memory of a second model); default: `dense`.

    `open_archive(examples, layers, neurons)` is called once, after texts and words were found usable. `report(stage,
    done, total, unit)` is a progress callback; its exceptions propagate. Raises BadInput and its subclasses
    (lm/errors.py, nsa/errors.py).
    """
    check(texts, options)
    lm = dense()
    prepared = prepare(lm, texts, options, report)
    shape = shape_of(lm.model)
    archive = open_archive([example.document() for example in prepared.examples], *shape[:2])
    heads = heads_of(lm.model) if pruned else None
    if options.count_sinks:
        _record(lm, DENSE, prepared, archive, report, heads=heads)
    else:
        sinks = SinkFinder(len(prepared.positions.text))
        _record(lm, DENSE, prepared, archive, report, sinks.see, heads)
        prepared = prepared.without_sinks(sinks.mask())
    device = lm.device
    matched = match(archive, DENSE, prepared, options, shape[:2], device, report)
    arrays = matched.arrays
    arrays["sinks"] = prepared.positions.sink_mask
    zeros = masks.zeros(lm.model) if pruned else None
    splitter = Splitter.of(lm, DENSE, archive, prepared, options, heads) if pruned else None
    if splitter is not None:
        arrays.update(splitter.writers(lm, heads))
    del lm, heads
    archive.unspool(attention_of(DENSE))
    base = baseline(archive, DENSE, prepared, options, matched.tops, device) if pruned else None
    archive.close(DENSE)
    dense_weights = (weights or dense)() if pruned else None
    comparisons = {}
    for name, load in zip(variant_names(len(pruned))[1:], pruned, strict=True):
        assert zeros is not None and base is not None and splitter is not None and dense_weights is not None
        lm = load()
        check_comparable(lm, name, prepared.examples, shape)
        _record(lm, name, prepared, archive, report)
        fractions = masks.masked_fractions(lm.model, zeros)
        splitter.measure(name, lm, dense_weights, arrays, report)
        splitter.diverge(name, lm, dense_weights, arrays)
        for temporary in (inputs_of(name), last_of(name)):
            archive.unspool(temporary)
        device = lm.device
        del lm
        comparisons[name] = compare(archive, name, prepared, options, arrays, base, device, report)
        archive.close(name)
        arrays[f"masked_in/{name}"] = fractions.incoming.astype(np.float32)
        arrays[f"masked_out/{name}"] = fractions.outgoing.astype(np.float32)
    cross_fitted = len(matched.tops.sets.folds) > 1
    tables = tables_document(prepared, options, arrays, comparisons, cross_fitted)
    if splitter is not None:
        tables["split"] = splitter.document()
    return Result(matched.all_arrays(shape[0]), tables)


def _record(
    lm: LanguageModel,
    variant: str,
    prepared: Prepared,
    archive: Archive,
    report: Report,
    see_hidden: SeeHidden | None = None,
    heads: Heads | None = None,
) -> None:
    """Record a model's activations in the archive. `see_hidden`: see `recording.record`. `heads`: the attention heads
    whose outputs at the influential tokens are recorded too. The message of a NotFinite error begins with the model's
    name."""
    spool_heads = partial(spool_influential, archive, attention_of(variant), prepared.positions.influential)
    try:
        record(
            lm.model,
            [example.token_ids for example in prepared.examples],
            partial(archive.write, variant),
            layers=prepared.layers,
            indices=[example.index for example in prepared.examples],
            see_hidden=see_hidden,
            receive_inputs=partial(archive.spool, inputs_of(variant)),
            receive_last=partial(archive.spool, last_of(variant), 0),
            attention=heads.outputs if heads else (),
            receive_attention=spool_heads if heads else None,
            on_batch=lambda done, total: report(f"record {variant}", done, total, "texts"),
        )
    except NotFinite as error:
        raise NotFinite(f"{lm.reference}: {error}") from error
