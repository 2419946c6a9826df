"""The stages prune, evaluate and attribute: each runs the numerics according to a spec and writes the result to an
existing, empty folder.

The pipeline runs the stages for jobs; the command and the Python API run them directly (prunescope/running.py). All
pass a temporary folder, which they rename when the stage has succeeded.
"""

import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from prunescope.evaluation.accuracy import TaskResult
from prunescope.evaluation.accuracy import evaluate as measure
from prunescope.evaluation.held_out import HeldOut, held_out_windows
from prunescope.evaluation.perplexity import perplexity
from prunescope.evaluation.prompts import prompt_around, row_texts, task_texts
from prunescope.jobs import specs
from prunescope.jobs.vocabulary import NO_PROMPT, PERPLEXITY_SETS, TASKS
from prunescope.lm.architecture import context_length
from prunescope.lm.errors import NotFinite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.attribution import Archive, Options, variant_names
from prunescope.nsa.attribution import attribute as run_attribution
from prunescope.nsa.texts import SENTIMENT, SENTIMENT_LABELS, Text
from prunescope.store.attributions.writer import ActivationWriter
from prunescope.store.evaluations.labels import label_values
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.worker import causal
from prunescope.worker.context import Context
from prunescope.worker.disk import check_attribution
from prunescope.worker.pruned_model import label, prune, prune_in_place
from prunescope.worker.records import environment, write_json

__all__ = ["attribute", "evaluate", "label", "prune", "prune_in_place", "texts_of"]


def evaluate(spec: specs.EvaluateSpec, folder: Path | None, context: Context) -> dict[str, Any]:
    """Run an evaluation and return its document, with the accuracy and all rows of each task, and the perplexities. If
    `folder` is given, the document is written to `evaluation.json` in it."""
    began = time.monotonic()
    lm = context.model(spec.model)
    held_out = _held_out(spec.perplexity, lm, context)  # before the tasks, so that errors in it are reported at once
    results = {}
    if spec.tasks:
        results = measure(
            lm,
            spec.tasks,
            data=context.settings.data,
            limit=spec.limit,
            seed=spec.seed,
            newline=spec.newline,
            on_batch=lambda task, done, total: context.step(task, done, total, "rows"),
            on_result=lambda result: context.step(
                result.task, result.rows, result.rows, "rows", accuracy_words(result, context_length(lm.model))
            ),
        )
    document = {
        "model": spec.model,
        "spec": spec.model_dump(mode="json"),
        "tasks": {name: task_document(result) for name, result in results.items()},
        "perplexity": {text.name: _perplexity(text, lm, context) for text in held_out},
        "context": context_length(lm.model),
        **environment(lm, lm.model.dtype),
        "seconds": time.monotonic() - began,
    }
    if folder is not None:
        write_json(folder / EVALUATION_JSON, document)
    return document


def attribute(spec: specs.AttributeSpec, folder: Path, context: Context) -> dict[str, Any]:
    """Run an attribution, with its causal stage if requested, and write its Zarr group to the empty `folder`. Returns
    the document `summary` of its tables."""
    references = [spec.dense, *spec.pruned]
    names = variant_names(len(spec.pruned))
    loaders = [partial(context.model, reference) for reference in references]
    texts = texts_of(spec, context)
    rows = causal.rows_of(spec.causal, texts, context) if spec.causal else None
    with ExitStack() as opened:
        writers: list[ActivationWriter] = []

        def open_archive(examples: list[dict[str, Any]], layers: int, neurons: int) -> Archive:
            if spec.causal:
                causal.check_fits(spec.causal, spec.layers or range(layers), layers, neurons)
            tokens = sum(len(example["token_ids"]) for example in examples)
            check_attribution(folder, len(spec.layers or range(layers)), neurons, tokens, len(names))
            writer = ActivationWriter(
                folder,
                spec=spec.model_dump(mode="json"),
                variants=names,
                models=references,
                labels=[label(reference, context.place_of(reference)) for reference in references],
                examples=examples,
                layers=layers,
                neurons=neurons,
            )
            writers.append(opened.enter_context(writer))
            return writer

        result = run_attribution(
            loaders[0],
            loaders[1:],
            texts,
            Options(
                source=spec.words.source,
                content=spec.words.content,
                activation=spec.activation,
                layers=spec.layers,
                placebo=spec.placebo,
                permutations=spec.permutations,
                seed=spec.seed,
                floor=spec.floor,
                count_special=spec.special_tokens,
                count_sinks=spec.sinks,
            ),
            open_archive,
            context.step,
            lambda: context.models.weights(context.place_of(spec.dense), spec.dense),
        )
        arrays, tables = result.arrays, result.tables
        if spec.causal and rows:
            means = causal.means_of(writers[0], names[0], arrays["rank"].shape, tables["layers"])
            loading = list(zip(names, loaders, strict=True))
            found, document = causal.run(
                spec, spec.causal, rows, arrays["rank"], means, arrays["deviation"], loading, context
            )
            arrays, tables = {**arrays, **found}, {**tables, "causal": document}
        writers[0].finish(arrays, tables)
    summary: dict[str, Any] = result.tables["summary"]
    return summary


def texts_of(spec: specs.AttributeSpec, context: Context) -> list[Text]:
    """The texts of an attribution's spec with their prompts; the texts are given in the spec or are rows of a task."""
    match spec.texts:
        case specs.TaskTexts(dataset=task, count=count, seed=seed):
            rows = task_texts(task, count, seed, context.settings.data)
        case specs.TaskRows(dataset=task, indices=indices):
            rows = row_texts(task, indices, context.settings.data)
        case given:
            before, after = _around(spec.prompt)
            group = TASKS.get(spec.prompt, SENTIMENT)
            choices = SENTIMENT_LABELS if group == SENTIMENT else ()
            return [Text(each.text, each.label, each.words, before, after, group, choices) for each in given]
    group = TASKS[spec.texts.dataset]
    words = [row.words for row in rows] if spec.texts.words is None else spec.texts.words
    own = spec.prompt == spec.texts.dataset
    before, after = ("", "") if own else _around(spec.prompt)
    return [
        Text(row.text, row.label, chosen, row.before if own else before, row.after if own else after, group)
        for row, chosen in zip(rows, words, strict=False)  # a task may have fewer rows than requested
    ]


def _around(prompt: str) -> tuple[str, str]:
    return ("", "") if prompt == NO_PROMPT else prompt_around(prompt)


def task_document(result: TaskResult) -> dict[str, Any]:
    """A task's result as a JSON document; log-likelihoods are natural logarithms. `labels` is None unless the task has
    fixed labels."""
    document = asdict(result)
    found = label_values(document["examples"])
    return {**document, "labels": found and found.document()}


def _held_out(asked: specs.Perplexity | None, lm: LanguageModel, context: Context) -> list[HeldOut]:
    texts: list[HeldOut] = []
    if asked is None:
        return texts
    for name in asked.datasets:
        context.step("text", message=name)
        text = name if name in PERPLEXITY_SETS else context.file_of(name)
        texts.append(
            held_out_windows(
                lm,
                text,
                seqlen=asked.seqlen,
                windows=asked.windows,
                data=context.settings.data,
                name=name,
                bos=asked.bos,
            )
        )
    return texts


def _perplexity(text: HeldOut, lm: LanguageModel, context: Context) -> dict[str, Any]:
    """Measure the perplexity on a text, and return it as a JSON document with the loss of each window and the hash of
    the windows. Results with equal hashes were measured on the same tokens."""
    stage = f"perplexity on {Path(text.name).name}"
    try:
        result = perplexity(
            lm.model,
            text.windows,
            name=lm.reference,
            on_batch=lambda done, total: context.step(stage, done, total, "windows"),
        )
    except NotFinite as error:
        raise NotFinite(f"{stage}, {error}") from error
    context.step(stage, result.windows, result.windows, "windows", f"{result.perplexity:.4g}")
    return {**asdict(result), "bos": text.bos, "source": text.source, "sha256": text.sha256}


def accuracy_words(result: TaskResult, context: int) -> str:
    """A finished task as a message: `accuracy 75.2%`, and the number of truncated prompts if there are any. `context`
    is the model's context length in tokens."""
    words = f"accuracy {result.accuracy:.1%}"
    return f"{words}; {cut_words(result.truncated, context)}" if result.truncated else words


def cut_words(rows: int, context: int) -> str:
    """A message with the number of rows whose prompt exceeded the context length in tokens and was cut on the left."""
    return f"{rows} {'row' if rows == 1 else 'rows'} lost the beginning of a prompt longer than {context} tokens"
