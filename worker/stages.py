"""The stages: a spec becomes calls of the numerics, and their results become files in a folder that is there and empty.

`prunescope prune | evaluate | attribute` runs them here and now, the pipeline runs them for jobs. Both hand in a folder
that gets its lasting name only when the stage has ended well.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluation.accuracy import TaskResult
from evaluation.accuracy import evaluate as measure
from evaluation.prompts import around, task_texts
from jobs import specs
from jobs.fingerprints import NUMERICS_VERSION
from jobs.vocabulary import NO_PROMPT
from lm.architecture import context_length
from lm.loading import LanguageModel
from nsa.attribution import Archive, Options, variant_names
from nsa.attribution import attribute as run_attribution
from nsa.texts import Text
from pruning.calibration import Calibration, calibration_windows
from pruning.patterns import NofM, Pattern, Unstructured
from pruning.reports import LayerReport
from pruning.walk import prune as walk
from store.activations import ActivationWriter
from worker.context import Context
from worker.reporting import layer_words

PRUNING_JSON = "pruning.json"
EVALUATION_JSON = "evaluation.json"
LARGEST_SHARD = "5GB"


def prune(spec: specs.PruneSpec, folder: Path, context: Context) -> dict[str, Any]:
    """Fill `folder` with the pruned model, its tokenizer and `pruning.json`; answers with the latter.

    The weights have the checkpoint's own type, whatever type was computed in.
    """
    began = time.monotonic()
    context.step("load", message=spec.model)
    lm = context.models.own(context.place_of(spec.model), spec.model)
    calibration = _calibration(spec.calibration, lm, context)
    options = spec.method.model_dump(exclude={"name"})
    context.step("prune", unit="layers")
    reports = walk(
        lm.model,
        spec.method.name,
        pattern_of(spec.pattern),
        None if calibration is None else calibration.windows,
        lengths=None if calibration is None else calibration.lengths,
        options=options,
        device=lm.device,
        on_layer=partial(_layer_done, context),
    )
    context.step("save")
    document = _pruning_document(spec, lm, calibration, reports, time.monotonic() - began)
    lm.model.to(dtype=lm.dtype)  # type: ignore[call-arg] # a wrapper of transformers hides its signature
    lm.model.save_pretrained(folder, max_shard_size=LARGEST_SHARD)
    if lm.tokenizer is not None:
        lm.tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", weights)  # they come readable by their owner alone
    write_json(folder / PRUNING_JSON, document)
    return document


def evaluate(spec: specs.EvaluateSpec, folder: Path | None, context: Context) -> dict[str, Any]:
    """Every task's accuracy and examples as a document, which `folder`, if any, gets as `evaluation.json`."""
    began = time.monotonic()
    lm = _warm(spec.model, context)
    results = measure(
        lm,
        spec.tasks,
        data=context.settings.data,
        limit=spec.limit,
        seed=spec.seed,
        on_batch=lambda task, done, total: context.step(task, done, total, "rows"),
    )
    document = {
        "model": spec.model,
        "spec": spec.model_dump(mode="json"),
        "tasks": {name: task_document(result) for name, result in results.items()},
        **_circumstances(lm),
        "seconds": time.monotonic() - began,
    }
    if folder is not None:
        write_json(folder / EVALUATION_JSON, document)
    return document


def attribute(spec: specs.AttributeSpec, folder: Path, context: Context) -> dict[str, Any]:
    """Put the Zarr group of an attribution in the place of the empty `folder`; answers with a summary."""
    references = [spec.dense, *spec.pruned]
    loaders = [partial(_warm, reference, context) for reference in references]
    with ExitStack() as opened:
        writers: list[ActivationWriter] = []

        def open_archive(examples: list[dict[str, Any]], layers: int, neurons: int) -> Archive:
            writer = ActivationWriter(
                folder,
                spec=spec.model_dump(mode="json"),
                variants=variant_names(len(spec.pruned)),
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
            texts_of(spec, context),
            Options(spec.words.source, spec.activation, spec.layers, spec.permutations, spec.seed),
            open_archive,
            context.step,
        )
        writers[0].finish(result.arrays, result.tables)
    summary: dict[str, Any] = result.tables["summary"]
    return summary


def texts_of(spec: specs.AttributeSpec, context: Context) -> list[Text]:
    """The texts that a spec gives or draws from a task, with its prompt around them."""
    before, after = ("", "") if spec.prompt == NO_PROMPT else around(spec.prompt)
    if isinstance(spec.texts, specs.TaskTexts):
        drawn = task_texts(spec.texts.dataset, spec.texts.count, spec.texts.seed, context.settings.data)
        return [Text(row.text, row.label, row.words, before, after) for row in drawn]
    return [Text(given.text, given.label, given.words, before, after) for given in spec.texts]


def pattern_of(pattern: specs.Unstructured | specs.NofM) -> Pattern:
    """The numerics' pattern for a spec's."""
    match pattern:
        case specs.Unstructured(sparsity=sparsity):
            return Unstructured(sparsity)
        case specs.NofM(n=n, m=m):
            return NofM(n, m)


def task_document(result: TaskResult) -> dict[str, Any]:
    """A task's result as JSON; the log-likelihoods are natural logarithms."""
    return asdict(result)


def label(reference: str, place: Path | str) -> str:
    """What a page calls a model: how it was pruned (`wanda · c4 · 0.5`), or its name without the owner."""
    record = Path(place) / PRUNING_JSON
    if record.is_file():
        try:
            return spec_label(specs.PruneSpec.model_validate(json.loads(record.read_text(encoding="utf-8"))["spec"]))
        except (ValueError, KeyError, TypeError):
            pass  # pruned elsewhere, by a program with another idea of this file
    return reference.rstrip("/").rpartition("/")[2]


def spec_label(spec: specs.PruneSpec) -> str:
    """`wanda · c4 · 0.5`; a method that looks at no text has no middle part."""
    text = spec.calibration and str(spec.calibration)
    return " · ".join(part for part in (spec.method.name, text, str(spec.pattern)) if part)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document; a number that JSON does not have is an error."""
    path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")


def _warm(reference: str, context: Context) -> LanguageModel:
    context.step("load", message=reference)
    return context.models.get(context.place_of(reference), reference)


def _calibration(wanted: specs.Calibration | None, lm: LanguageModel, context: Context) -> Calibration | None:
    if wanted is None:
        return None
    context.step("calibration", message=str(wanted))
    return calibration_windows(
        wanted.dataset or context.file_of(wanted.file or ""),
        lm.tokenizer,
        mode=wanted.mode,
        samples=wanted.samples,
        seqlen=wanted.seqlen,
        seed=wanted.seed,
        data=context.settings.data,
        context=context_length(lm.model),
    )


def _layer_done(context: Context, report: LayerReport) -> None:
    context.step("prune", report.layer + 1, report.layers, "layers", layer_words(report))


def _pruning_document(
    spec: specs.PruneSpec,
    lm: LanguageModel,
    calibration: Calibration | None,
    reports: Sequence[LayerReport],
    seconds: float,
) -> dict[str, Any]:
    matrices = [matrix for report in reports for matrix in report.matrices]
    weights = sum(matrix.rows * matrix.columns for matrix in matrices)
    return {
        "spec": spec.model_dump(mode="json"),
        "label": spec_label(spec),
        "sparsity": sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices) / weights,
        "calibration": None if calibration is None else _source(calibration),
        "layers": [
            {
                "layer": report.layer,
                "seconds": report.seconds,
                "matrices": [asdict(matrix) for matrix in report.matrices],
            }
            for report in reports
        ],
        **_circumstances(lm),
        "seconds": seconds,
    }


def _source(calibration: Calibration) -> dict[str, Any]:
    names = ("source", "mode", "samples", "seqlen", "seed", "sha256", "tokens")
    return {name: getattr(calibration, name) for name in names}


def _circumstances(lm: LanguageModel) -> dict[str, Any]:
    """What a result depends on beside its spec."""
    names = ("prunescope", "torch", "transformers", "lm-eval", "numpy")
    return {
        "device": str(lm.device),
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        "saved_dtype": str(lm.dtype).removeprefix("torch."),
        "versions": {**{name: version(name) for name in names}, "numerics": NUMERICS_VERSION},
    }
