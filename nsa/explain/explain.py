"""What pruning broke, and through which neurons: the whole of an explanation, in order, with one model in memory at a
time.

    dense     activations and scores of all rows
    pruned    the same; halves; effects of the ranking rows; integrated shares of the measured rows; patched passes, in
              which each half of the rows has the neurons that the other half ranked
    dense     words of the rows by gradient; patched passes with pruned activations
    pruned    patched passes of the rankings by words
"""

from collections.abc import Callable, Sequence

import numpy as np

from prunescope.lm.loading import LanguageModel
from prunescope.lm.passages import longest_branched, windows
from prunescope.lm.positions import length_switches
from prunescope.nsa.errors import ModelsDiffer
from prunescope.nsa.explain import rankings
from prunescope.nsa.explain.layout import Layout
from prunescope.nsa.explain.outcome import Options, Outcome
from prunescope.nsa.explain.ranked import rank
from prunescope.nsa.explain.rows import Row
from prunescope.nsa.explain.running import Step, Subject
from prunescope.nsa.explain.sample import record, sample
from prunescope.nsa.explain.sites import sites_of
from prunescope.nsa.explain.spools import Open
from prunescope.nsa.explain.verifying import Verifier
from prunescope.nsa.explain.words import TextsOf, find_words
from prunescope.nsa.preparation import Report, check_same_shape, shape_of, vocabulary_of

Load = Callable[[], LanguageModel]
RowsOf = Callable[[LanguageModel], Sequence[Row]]
"""The rows as a model's tokenizer spells them."""


def explain(
    dense: Load,
    pruned: Load,
    rows_of: RowsOf,
    options: Options,
    open_spool: Open,
    report: Report,
    *,
    texts_of: TextsOf | None = None,
    labelled: bool = True,
) -> Outcome:
    """Explain what pruning broke on the rows. `dense` and `pruned` load a model; each is called up to twice. `texts_of`
    is None for windows of text, which have no words. `labelled`: whether a text is followed by its label, by whose
    gradient influential words are found for the rankings `score` and `drop`.

    Raises BadInput when too few rows were broken, ModelsDiffer when the models cannot be compared, NotFinite for
    numbers that are not finite, and UnsupportedModel for a model whose MLP is not found.
    """

    def steps(stage: str) -> Step:
        return lambda done, total: report(stage, done, total, "rows")

    lm = dense()
    rows, shape = rows_of(lm), shape_of(lm.model)
    subject = _subject(lm, _layout(lm, rows, options), heads=options.heads)
    layout, heads, without = subject.layout, bool(subject.sites.heads), subject.sites.without_heads
    notes = [f"Attention heads are left out: {without}."] if without else []
    in_dense = record(subject, "dense", open_spool, steps("record dense"))
    del lm, subject

    lm = pruned()
    _check_comparable(lm, shape, rows, rows_of)
    subject = _subject(lm, layout, heads=heads)
    in_pruned = record(subject, "pruned", open_spool, steps("record pruned"))
    used = sample(rows, in_dense, in_pruned, options)
    ranked = rank(subject, used, options, steps("margin shares"))
    margin = ranked.crossed[rankings.MARGIN]
    verifier = Verifier(subject, used, options, report)
    verified = verifier.verify()
    every = verified.whole.restored["neurons"]
    curves = {name: verifier.curve(name, orders, every) for name, orders in ranked.crossed.items()}
    curves[rankings.RANDOM] = verifier.random_curve(margin, every)
    del lm, subject, verifier

    lm = dense()
    found = find_words(lm, layout, used, ranked.best, texts_of, labelled=labelled, report=report)
    reverse = Verifier(_subject(lm, layout, heads=heads), used, options, report).reverse(margin)
    del lm
    if found.crossed:
        verifier = Verifier(_subject(pruned(), layout, heads=heads), used, options, report)
        curves |= {name: verifier.curve(name, orders, every) for name, orders in found.crossed.items()}
    return Outcome(
        rows=rows,
        halves=used.halves,
        ranked=np.sort(np.concatenate(used.ranked)),
        measured=used.measured,
        broken=np.flatnonzero(used.broken),
        mended=int(used.mended.sum()),
        fell=int(used.fell.sum()),
        margins={"dense": in_dense.margins, "pruned": in_pruned.margins},
        scores={"dense": in_dense.scores, "pruned": in_pruned.scores},
        patched=verified.patched,
        whole=verified.whole,
        curves=curves,
        reverse=reverse,
        share=ranked.share,
        integrated=verified.integrated,
        prior=ranked.prior,
        content=ranked.content,
        change=ranked.change,
        rank=rankings.ranks(ranked.best, shape[:2]),
        head_share=ranked.head_share,
        head_integrated=verified.head_integrated,
        labels=ranked.labels,
        words=found.of_neurons,
        notes=[*notes, *found.notes],
    )


def _layout(lm: LanguageModel, rows: Sequence[Row], options: Options) -> Layout:
    return Layout(
        rows,
        longest=longest_branched(lm.model),
        switches=length_switches(lm.model),
        window=min(windows(lm.model), default=None),
        special=set() if lm.tokenizer is None else set(lm.tokenizer.all_special_ids),
        sinks=options.sinks,
    )


def _subject(lm: LanguageModel, layout: Layout, *, heads: bool) -> Subject:
    return Subject(lm.model, sites_of(lm.model, heads), layout, lm.reference)


def _check_comparable(lm: LanguageModel, shape: tuple[int, int, int], rows: Sequence[Row], rows_of: RowsOf) -> None:
    """Raise ModelsDiffer unless the pruned model has the dense model's shape, and its tokenizer, if it has one, spells
    the rows with the same tokens."""
    check_same_shape(lm, lm.reference, shape, "give a pruned copy of the dense model")
    largest = max(max((*choice.inputs, *choice.answer)) for row in rows for choice in row.choices)
    if largest >= vocabulary_of(lm.model):
        raise ModelsDiffer(
            f"{lm.reference} has no token {largest}, which is in the rows; give a pruned copy of the model"
        )
    if lm.tokenizer is None:
        return
    for row, other in zip(rows, rows_of(lm), strict=True):
        if row.choices != other.choices:
            raise ModelsDiffer(
                f"{lm.reference} tokenises row {row.index} differently from the dense model; give a pruned copy of the "
                "dense model"
            )
