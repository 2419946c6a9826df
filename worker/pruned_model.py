"""The prune stage: prunes a model according to its spec and writes it as a Hugging Face folder.

    config.json, tokenizer, processors, licence               copied from the checkpoint (worker/companions.py)
    model.safetensors                                         the weights of a small model, or
    model-0000i-of-0000n.safetensors and their index          one shard per layer and one for the rest
    pruning.json                                              report on the pruning, by layer and matrix
    permutations.npz                                          column permutations in which n:m patterns hold, if any

All tensors have the names and dtypes of the checkpoint. Tensors other than the linear layers' weights inside the
decoder layers are unchanged.

Only one decoder layer is in memory at a time: the checkpoint is memory-mapped, and finished layers are stored as files.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.jobs import specs
from prunescope.jobs.fingerprints import NUMERICS_VERSION
from prunescope.lm.architecture import context_length, decoder_layers, layers_path
from prunescope.lm.checkpoint import INDEX, WHOLE, Checkpoint, read_checkpoint, read_header
from prunescope.lm.loading import LanguageModel
from prunescope.pruning.allocation import build_allocation
from prunescope.pruning.calibration import Calibration, calibration_windows
from prunescope.pruning.patterns import NofM, Pattern, Unstructured
from prunescope.pruning.reports import STAGES, LayerReport, MatrixReport
from prunescope.pruning.walk import prune as walk
from prunescope.worker.companions import copy_companions
from prunescope.worker.context import Context
from prunescope.worker.disk import check_model
from prunescope.worker.layer_files import LayerFiles
from prunescope.worker.models import folder_of
from prunescope.worker.records import environment, write_json
from prunescope.worker.reporting import layer_words
from prunescope.worker.shards import entries, link_or_copy, write_entries, write_index, write_like
from prunescope.worker.stored import StoredTensors, stored_tensors

PRUNING_JSON = "pruning.json"
PERMUTATIONS = "permutations.npz"
"""File with the column permutations: name of a weight -> int32 permutation. Not a safetensors file, because loaders
read all safetensors files in a folder as weights."""
REST = ".rest.safetensors"
LAYOUT = 2
"""Version of the file format of finished layers; files of another version are not reused."""
ONE_FILE = 2 << 30
"""Maximum size in bytes of a model that is written as one file; larger models are written as shards."""


def prune(spec: specs.PruneSpec, folder: Path, context: Context, finished: Path | None = None) -> dict[str, Any]:
    """Prune a model and write it to the existing, empty `folder`. Returns the document `pruning.json`.

    The weights have the dtype of the checkpoint, not that of the computation. Finished layers are stored in the folder
    `finished`; None: in a temporary folder inside `folder`. If `finished` contains layers of an interrupted run with
    the same spec, model, windows and device, the run resumes from them, and its result is bit-identical to that of an
    uninterrupted run.

    Raises NoRoom when the model does not fit on the disk; the errors of loading, calibration and pruning; Cancelled.
    """
    began = time.monotonic()
    context.step("load", message=spec.model)
    place = folder_of(context.place_of(spec.model), spec.model)
    lm = context.models.own(place, spec.model)
    computed_in = context.models.computed_in(lm)
    loaded = time.monotonic()
    calibration = _calibration(spec.calibration, lm, context)
    seconds = {"load": loaded - began, "calibration": time.monotonic() - loaded}
    with ExitStack() as stack:
        if finished is None:
            finished = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".")))
        layers = len(decoder_layers(lm.model))
        identity = _identity(spec, place, lm, computed_in, calibration)
        check_room(lm.model, folder, finished)
        checkpoint = read_checkpoint(place, spec.model)
        stored = stored_tensors(lm.model, checkpoint, layers_path(lm.model))
        keeper = LayerFiles(finished / "layers", layers_path(lm.model), layers, identity, stored)
        reports = _walk(spec, lm, computed_in, calibration, context, keeper)
        context.step("save")
        saving = time.monotonic()
        _export(lm, keeper, checkpoint, stored, folder)
        copy_companions(place, folder)
        seconds["save"] = time.monotonic() - saving
        document = {
            **_pruning_document(spec, calibration, reports, seconds),
            **environment(lm, computed_in),
            "seconds": time.monotonic() - began,
        }
        write_json(folder / PRUNING_JSON, document)
    return document


def prune_in_place(spec: specs.PruneSpec, lm: LanguageModel, folder: Path | None, context: Context) -> dict[str, Any]:
    """Prune a loaded model in place and return the document `pruning.json`. If `folder` is given (existing and empty),
    the model, its tokenizer and `pruning.json` are saved in it. After an interruption, the model's first layers are
    pruned and the others are not."""
    began = time.monotonic()
    computed_in = context.models.computed_in(lm)
    calibration = _calibration(spec.calibration, lm, context)
    seconds = {"calibration": time.monotonic() - began}
    reports = _walk(spec, lm, computed_in, calibration, context, None)
    if folder is not None:
        context.step("save")
        saving = time.monotonic()
        lm.model.save_pretrained(folder)
        if lm.tokenizer is not None:
            lm.tokenizer.save_pretrained(folder)
        path = layers_path(lm.model)
        orders = {
            f"{path}.{matrix.layer}.{matrix.name}.weight": matrix.order.to(torch.int32).numpy(force=True)
            for report in reports
            for matrix in report.matrices
            if matrix.order is not None
        }
        if orders:
            np.savez(folder / PERMUTATIONS, allow_pickle=False, **orders)
        seconds["save"] = time.monotonic() - saving
    document = {
        **_pruning_document(spec, calibration, reports, seconds),
        **environment(lm, computed_in),
        "seconds": time.monotonic() - began,
    }
    if folder is not None:
        write_json(folder / PRUNING_JSON, document)
    return document


def pattern_of(pattern: specs.Unstructured | specs.NofM) -> Pattern:
    """Convert a pattern of a spec to the class that the package `pruning` uses."""
    match pattern:
        case specs.Unstructured(sparsity=sparsity):
            return Unstructured(sparsity)
        case specs.NofM(n=n, m=m):
            return NofM(n, m)


def label(reference: str, place: Path | str) -> str:
    """The label of a model on pages: how it was pruned (`wanda · c4 · 0.5`) if the folder `place` has a `pruning.json`,
    else the last part of `reference`, without the owner."""
    record = Path(place) / PRUNING_JSON
    if record.is_file():
        try:
            return specs.PruneSpec.model_validate(json.loads(record.read_text(encoding="utf-8"))["spec"]).label
        except (ValueError, KeyError, TypeError):
            pass  # another program's pruning.json, with another format
    return reference.rstrip("/").rpartition("/")[2]


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
        bos=wanted.bos,
        data=context.settings.data,
        context=context_length(lm.model),
    )


def _walk(
    spec: specs.PruneSpec,
    lm: LanguageModel,
    computed_in: torch.dtype,
    calibration: Calibration | None,
    context: Context,
    keeper: LayerFiles | None,
) -> list[LayerReport]:
    layers = len(decoder_layers(lm.model))
    context.step("prune", 0, layers, "layers")
    return walk(
        lm.model,
        spec.method.name,
        pattern_of(spec.pattern),
        None if calibration is None else calibration.windows,
        lengths=None if calibration is None else calibration.lengths,
        options=spec.method.model_dump(exclude={"name"}),
        allocation=build_allocation(spec.allocation.name, spec.allocation.model_dump(exclude={"name"})),
        device=lm.device,
        dtype=computed_in,
        keeper=keeper,
        on_layer=partial(_layer_done, context),
        on_matrix=partial(_matrix_done, context, layers),
    )


def _identity(
    spec: specs.PruneSpec, place: Path, lm: LanguageModel, computed_in: torch.dtype, calibration: Calibration | None
) -> dict[str, Any]:
    """A JSON document with everything that the weights of finished layers depend on. The checkpoint's files are
    identified by size and modification time, because hashing a large checkpoint takes longer than pruning the layers
    again."""
    files = [file for file in sorted(place.iterdir()) if file.is_file()]
    return {
        "layout": LAYOUT,
        "spec": spec.model_dump(mode="json"),
        "model": [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files],
        "windows": None if calibration is None else calibration.sha256,
        "device": lm.device.type,
        "dtype": str(computed_in),
        "numerics": NUMERICS_VERSION,
        "torch": torch.__version__,
    }


def _layer_done(context: Context, report: LayerReport) -> None:
    words = "restored" if report.restored else layer_words(report)
    context.step("prune", report.layer + 1, report.layers, "layers", words, timed=not report.restored)


def _matrix_done(context: Context, layers: int, report: MatrixReport) -> None:
    context.step("prune", report.layer, layers, "layers", f"layer {report.layer + 1}/{layers} · {report.name}")


def check_room(model: PreTrainedModel, folder: Path, finished: Path) -> None:
    """Raise NoRoom when the pruned model does not fit on the disk. Called before the first layer is pruned."""
    check_model(folder, finished, decoder_layers(model), _outside(model).values(), ONE_FILE)


def _outside(model: PreTrainedModel) -> dict[str, Tensor]:
    """The model's tensors outside the decoder layers."""
    path = f"{layers_path(model)}."
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(path)}


def _export(
    lm: LanguageModel, keeper: LayerFiles, checkpoint: Checkpoint, stored: StoredTensors | None, folder: Path
) -> None:
    """Write the weights of the pruned model to `folder`, from the finished layers in `keeper` and the tensors outside
    the layers, as one file or as shards; and the column permutations, if there are any."""
    layers = entries(keeper.shards)
    if stored is None:
        _save_the_rest(lm, folder)
        whole = folder / WHOLE
        rest = folder / REST
        whole.rename(rest)
        others = entries([rest])
    else:
        others = stored.others(layers)
    known = {**layers, **others}
    if sum(entry.end - entry.begin for entry in known.values()) <= ONE_FILE:
        if (
            stored is not None
            and len(checkpoint.files) == 1
            and known.keys() == read_header(checkpoint.files[0]).keys()
        ):
            write_like(checkpoint.files[0], known, folder / WHOLE)
        else:
            write_entries(known, folder / WHOLE)
    else:
        last = folder / keeper.shard(len(keeper.shards)).name
        write_entries(others, last)
        for shard in keeper.shards:
            link_or_copy(shard, folder / shard.name)
        write_index([*(folder / shard.name for shard in keeper.shards), last], folder / INDEX)
    (folder / REST).unlink(missing_ok=True)
    if keeper.orders:
        orders = {name: order.numpy() for file in keeper.orders for name, order in load_file(file).items()}
        names = {own: (stored.name(own) if stored else None) or own for own in orders}
        np.savez(folder / PERMUTATIONS, allow_pickle=False, **{names[own]: order for own, order in orders.items()})


def _save_the_rest(lm: LanguageModel, folder: Path) -> None:
    """Write the tensors outside the decoder layers with the model's names, for a checkpoint that transformers converts
    on loading."""
    model: PreTrainedModel = lm.model
    # save_pretrained omits tied tensors and also writes the config.
    model.save_pretrained(folder, state_dict=_outside(model))


def _pruning_document(
    spec: specs.PruneSpec,
    calibration: Calibration | None,
    reports: Sequence[LayerReport],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    matrices = [matrix for report in reports for matrix in report.matrices]
    errors = [matrix.relative_error for matrix in matrices if matrix.relative_error is not None]
    stages = {"load": 0.0, "calibration": 0.0, **dict.fromkeys(STAGES, 0.0)}
    for part in (seconds, *(report.stages for report in reports)):
        for name, value in part.items():
            stages[name] += value
    return {
        "spec": spec.model_dump(mode="json"),
        "label": spec.label,
        "sparsity": _sparsity(matrices),
        "relative_error": sum(errors) / len(errors) if errors else None,
        "calibration": None if calibration is None else _source(calibration),
        "batch": reports[0].batch,
        "stages": stages,
        "restored": sum(report.restored for report in reports),
        "layers": [_layer_document(report) for report in reports],
    }


def _layer_document(report: LayerReport) -> dict[str, Any]:
    names = ("layer", "name", "rows", "columns", "sparsity", "relative_error", "damping_retries")
    notes = ("sparsity_note", "error_note")
    return {
        "layer": report.layer,
        "seconds": report.seconds,
        "stages": dict(report.stages),
        "sparsity": _sparsity(report.matrices),
        "matrices": [
            {**{name: getattr(matrix, name) for name in (*names, *notes)}, "permuted": matrix.order is not None}
            for matrix in report.matrices
        ],
    }


def _sparsity(matrices: Sequence[MatrixReport]) -> float:
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    return zeros / sum(matrix.rows * matrix.columns for matrix in matrices)


def _source(calibration: Calibration) -> dict[str, Any]:
    names = ("source", "mode", "samples", "seqlen", "seed", "bos", "sha256", "tokens")
    return {name: getattr(calibration, name) for name in names}
