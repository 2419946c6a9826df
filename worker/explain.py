"""The stage explain: rows of a task or windows of a text through the dense and the pruned model, and the artefact.

The worker connects evaluation, which renders and tokenises the rows, with `nsa/explain`, which does the mathematics.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from prunescope.evaluation.accuracy import encode_questions, questionnaires
from prunescope.evaluation.harness import Question
from prunescope.evaluation.held_out import held_out_windows
from prunescope.evaluation.prompts import row_texts
from prunescope.jobs.bounds import DEFAULT_WINDOW
from prunescope.jobs.specs import ExplainSpec
from prunescope.jobs.vocabulary import PERPLEXITY_SETS, TASKS, TASKS_WITHOUT_LABEL
from prunescope.lm.answers import Encoded
from prunescope.lm.architecture import context_length
from prunescope.lm.errors import BadInput
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.explain.explain import explain as run
from prunescope.nsa.explain.outcome import Options
from prunescope.nsa.explain.rows import Row
from prunescope.nsa.explain.spools import Spool
from prunescope.nsa.texts import Text
from prunescope.store.attributions.spool import Spool as FileSpool
from prunescope.store.explanations.documents import Explanation, LeftOutRow, Source
from prunescope.store.explanations.folder import write_explanation
from prunescope.worker.context import Context
from prunescope.worker.disk import check_spool
from prunescope.worker.explained import Used, arrays_of, document_of
from prunescope.worker.pruned_model import label
from prunescope.worker.records import environment


def explain(spec: ExplainSpec, folder: Path, context: Context) -> Explanation:
    """Run an explanation, write its artefact to the empty `folder`, and return its document."""
    began = time.monotonic()
    used = _task(spec, context) if spec.task is not None else _text(spec, context)
    dense = partial(context.model, spec.dense)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".spool-") as place:
        found = run(
            dense,
            partial(context.model, spec.pruned),
            used.rows_of,
            Options(
                rows=spec.rows,
                neurons=spec.neurons,
                steps=spec.steps,
                heads=spec.heads,
                sinks=spec.sinks,
                content=spec.content,
                draws=spec.draws,
                seed=spec.seed,
            ),
            _spools(Path(place)),
            context.step,
            texts_of=None if spec.task is None else partial(_texts_of, spec.task, context),
            labelled=spec.task not in TASKS_WITHOUT_LABEL,
        )
    lm = dense()
    document = document_of(
        spec,
        used,
        found,
        labels=[label(reference, context.place_of(reference)) for reference in (spec.dense, spec.pruned)],
        made=environment(lm, lm.model.dtype),
        seconds=time.monotonic() - began,
    )
    write_explanation(folder, document, *arrays_of(found))
    return document


def _spools(folder: Path) -> Callable[[str, tuple[int, int, int], type[np.generic]], Spool]:
    """The function that makes spools as files in a temporary folder."""

    def open_spool(name: str, shape: tuple[int, int, int], dtype: type[np.generic]) -> Spool:
        check_spool(folder, shape, np.dtype(dtype).itemsize)
        return FileSpool(folder / name, shape, dtype)

    return open_spool


def _task(spec: ExplainSpec, context: Context) -> Used:
    """The rows of a task. Raises BadInput when none has a margin, or when `content` is asked for and the choices differ
    from row to row."""
    assert spec.task is not None
    asked = questionnaires([spec.task], data=context.settings.data, limit=spec.limit)[spec.task]
    left_out = [LeftOutRow(row=each.index, reason=reason) for each in asked.questions if (reason := _unusable(each))]
    without = {row.row for row in left_out}
    kept = tuple(question for question in asked.questions if question.index not in without)
    if not kept:
        raise BadInput(f"no row of {spec.task} has a margin: {left_out[0].reason}; take another task")
    fixed = len({question.choices for question in kept}) == 1
    if spec.content and not fixed:
        raise BadInput(
            f"content: the choices of {spec.task} differ from row to row, so there is no shift towards one label to "
            "remove; leave content out"
        )

    def rows_of(lm: LanguageModel) -> list[Row]:
        if lm.tokenizer is None:
            raise BadInput(f"{lm.reference} has no tokenizer, and a task needs one; save one beside the model")
        encoded = encode_questions(lm, str(spec.task), kept, lambda: context.step("load"))
        return [
            Row(question.index, tuple(choices), question.answer, question.answer if fixed else None)
            for question, choices in zip(kept, encoded, strict=True)
        ]

    source = Source(task=spec.task, perplexity=None, version=asked.version, prompt_hash=asked.prompt_hash)
    return Used(rows_of, source, left_out, list(kept[0].choices) if fixed else [])


def _unusable(question: Question) -> str:
    """Why a row has no margin; empty if it has one."""
    pairs = list(zip(question.prompts, question.continuations, strict=True))
    if pairs.count(pairs[question.answer]) > 1:
        return "a wrong choice is the same text as the right one"
    return ""


def _text(spec: ExplainSpec, context: Context) -> Used:
    """The windows of a text."""
    asked = spec.perplexity
    assert asked is not None
    name = asked.dataset
    hashes: list[str] = []

    def rows_of(lm: LanguageModel) -> list[Row]:
        text = held_out_windows(
            lm,
            name if name in PERPLEXITY_SETS else context.file_of(name),
            seqlen=min(DEFAULT_WINDOW, context_length(lm.model)) if asked.seqlen is None else asked.seqlen,
            windows=spec.limit,
            data=context.settings.data,
            name=name,
            bos=asked.bos,
        )
        hashes.append(text.sha256)
        windows: list[list[int]] = text.windows.tolist()
        return [
            Row(index, (Encoded(tuple(ids[:-1]), tuple(ids[1:]), truncated=False),), 0)
            for index, ids in enumerate(windows)
        ]

    return Used(rows_of, Source(task=None, perplexity=name), [], [], hashes)


def _texts_of(task: str, context: Context, indices: Sequence[int]) -> list[Text]:
    """The texts of rows, for the words in them."""
    return [
        Text(row.text, row.label, row.words, row.before, row.after, TASKS[task])
        for row in row_texts(task, indices, context.settings.data)
    ]
