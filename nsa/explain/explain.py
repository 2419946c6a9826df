"""What pruning broke, and through which neurons: the whole of an explanation, in order, with one model in memory at a
time.

    dense     activations and scores of all rows                                              1 forward pass
    pruned    the same; halves; effects of the training rows; integrated shares of the        1 forward pass; 1 forward
              measured held-out rows; patched passes over the held-out rows                   and backward pass; steps
    dense     words of the training rows by gradient; pruned activations put into it
    pruned    patched passes of the rankings by words
"""

from collections.abc import Callable, Sequence
from typing import cast

from torch import nn

from prunescope.lm.loading import LanguageModel
from prunescope.nsa.errors import ModelsDiffer
from prunescope.nsa.explain.outcome import Options, Outcome
from prunescope.nsa.explain.rankings import SCORE
from prunescope.nsa.explain.rows import Row
from prunescope.nsa.explain.spools import Open
from prunescope.nsa.explain.work import TextsOf, Work
from prunescope.nsa.preparation import Report, shape_of

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
    labelled_words: bool = True,
) -> Outcome:
    """Explain what pruning broke on the rows. `dense` and `pruned` load a model; each is called twice. `texts_of` is
    None for windows of text, which have no words. `labelled_words`: whether influential words can be found by the
    gradient of the label's log-probability, which the rankings `score` and `drop` need.

    Raises BadInput when too few rows were broken, ModelsDiffer when the models cannot be compared, NotFinite for
    numbers that are not finite, and UnsupportedModel for a model whose MLP is not found.
    """
    lm = dense()
    work = Work.begin(lm, rows_of(lm), options, open_spool, report)
    work.record("dense", lm)
    shape = shape_of(lm.model)
    del lm
    lm = pruned()
    _check_comparable(lm, shape, work.rows, rows_of)
    work.record("pruned", lm)
    work.split()
    work.rank(lm)
    work.measure(lm)
    del lm
    lm = dense()
    if texts_of is not None:
        work.find_words(lm, texts_of, labelled_words)
    else:
        work.notes.append("A text has no rows with words: the rankings score and drop, and words, are left out.")
    work.reverse(lm)
    del lm
    if SCORE in work.orders:
        work.measure_words(pruned())
    return work.outcome()


def _check_comparable(lm: LanguageModel, shape: tuple[int, int, int], rows: Sequence[Row], rows_of: RowsOf) -> None:
    """Raise ModelsDiffer unless the pruned model has the dense model's shape, and its tokenizer, if it has one, spells
    the rows with the same tokens."""
    own = shape_of(lm.model)
    if own != shape:
        found, wanted = (
            f"{layers} layer{'' if layers == 1 else 's'} of {neurons} neurons and width {width}"
            for layers, neurons, width in (own, shape)
        )
        raise ModelsDiffer(
            f"{lm.reference} has {found}, the dense model {wanted}; give a pruned copy of the dense model"
        )
    vocabulary = int(cast(nn.Embedding, lm.model.get_input_embeddings()).weight.shape[0])
    largest = max(max((*choice.inputs, *choice.answer)) for row in rows for choice in row.choices)
    if largest >= vocabulary:
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
