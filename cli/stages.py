"""`prunescope prune | evaluate | attribute`: one stage here and now, without the queue.

What was typed becomes the same spec that a job has and is checked in the same way; only, any folder will do for a
model: the model roots are for jobs.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunescope.cli.errors import Failure, Refusal, Unfinished, refusing
from prunescope.cli.inputs import check_readable
from prunescope.cli.options import calibration_source, causal_stage, key_values, names, numbers, text_rows
from prunescope.cli.output import (
    JSON,
    OUTPUT,
    check_outside,
    checked_folder,
    new_file,
    new_folder,
    resumed_folder,
    unfinished_place,
    worthless,
)
from prunescope.cli.progress import Display
from prunescope.cli.text_lines import text_lines
from prunescope.jobs.documents import JobKind
from prunescope.jobs.paths import expanded
from prunescope.jobs.references import DEMO, DEMO_FOLDER, PRUNED
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, parse_spec
from prunescope.store.artefacts.unfinished import remove_unfinished

if TYPE_CHECKING:
    from prunescope.worker.context import Context


def prune(
    settings: Settings,
    output: Path,
    *,
    model: str,
    method: str,
    options: Sequence[str],
    allocation: str,
    allocation_options: Sequence[str],
    pattern: str | None,
    sparsity: float | None,
    calibration: str | None,
    mode: str | None,
    samples: int | None,
    seqlen: int | None,
    bos: str,
    seed: int,
) -> None:
    """Write a pruned copy of a model to `output`; after an interrupt or a kill, the same call goes on from the last
    finished layer. Raises Refusal, Problem or BadInput for what can be mended."""
    if (pattern is None) == (sparsity is None):
        raise Refusal("say how much is to go: either --sparsity 0.5 or --pattern 2:4")
    document: dict[str, Any] = {
        "model": model,
        "method": {"name": method, **key_values(options, "--option")},
        "allocation": {"name": allocation, **key_values(allocation_options, "--allocation-option")},
        "pattern": sparsity if pattern is None else pattern,
    }
    if calibration is not None:
        document["calibration"] = {
            **calibration_source(calibration),
            "mode": mode,
            "samples": samples,
            "seqlen": seqlen,
            "seed": seed,
            "bos": bos,
        }
    spec = parse_spec(JobKind.PRUNE, document)
    assert isinstance(spec, PruneSpec)
    check_outside(output, [_folder(spec.model)], OUTPUT)
    key = unfinished_key(output, spec)
    hidden = unfinished_place(output, key)
    try:
        with resumed_folder(output, key) as (folder, finished), _running(settings) as context:
            from prunescope.worker import stages

            record = stages.prune(spec, folder, context, finished)
    except (Exception, KeyboardInterrupt) as error:
        if worthless(error) or not hidden.exists():
            raise
        if not any(hidden.rglob("*.safetensors")):
            remove_unfinished(hidden)
            raise
        raise Unfinished(f"finished layers are kept in {hidden}, and the same command goes on from there") from error
    earlier = f", {record['restored']} of {len(record['layers'])} layers from before" if record["restored"] else ""
    print(
        f"{output}: {record['label']}, {record['sparsity']:.2%} zeros, {record['seconds']:.1f} s{earlier}"
        f"{_matrix_notes(record)}"
    )


def _matrix_notes(record: dict[str, Any]) -> str:
    """How many matrices have a figure that is missing or off, with the first one's reason."""
    words = {"sparsity_note": "are not as sparse as asked", "error_note": "have no output error that could be measured"}
    text = ""
    for key, what in words.items():
        places = [(layer["layer"], each) for layer in record["layers"] for each in layer["matrices"] if each[key]]
        if places:
            layer, first = places[0]
            text += f"; {len(places)} matrices {what}, layer {layer} {first['name']} first ({first[key]})"
    return text


def unfinished_key(output: Path, spec: PruneSpec) -> str:
    """What a run is known by that another one may go on from: what is made, and where."""
    return hashlib.sha256(f"{output.absolute()}\n{spec.model_dump_json()}".encode()).hexdigest()[:12]


def evaluate(
    settings: Settings,
    *,
    model: str,
    tasks: str,
    limit: int | None,
    newline: str,
    seed: int,
    perplexity: str | None,
    seqlen: int | None,
    windows: int | None,
    bos: str | None,
    file: Path | None,
) -> None:
    """Print a model's accuracy on tasks and its perplexity on texts, and write both to `file`; they are printed also
    where it cannot be written (Failure). Raises Refusal, Problem or BadInput as `prune`."""
    document: dict[str, Any] = {
        "model": model,
        "tasks": names(tasks),
        "limit": limit,
        "newline": newline,
        "seed": seed,
    }
    if perplexity is not None:
        settings_of = {"seqlen": seqlen, "windows": windows, "bos": bos or "auto"}
        document["perplexity"] = {"datasets": names(perplexity), **settings_of}
    elif seqlen is not None or windows is not None or bos is not None:
        raise Refusal("--seqlen, --windows and --bos are of --perplexity: name its texts, or leave them out")
    spec = parse_spec(JobKind.EVALUATE, document)
    assert isinstance(spec, EvaluateSpec)
    with contextlib.ExitStack() as opened:
        place = None
        if file is not None:
            check_outside(file, [_folder(spec.model)], JSON)
            place = opened.enter_context(new_file(file))
        with _running(settings) as context:
            from prunescope.worker import stages

            measured = stages.evaluate(spec, None, context)
        try:
            _print_measured(measured)
        finally:  # one of them at least: the terminal or the file may be what is broken
            if file is not None and place is not None:
                _write_measured(place, file, model, measured)


def _print_measured(measured: Mapping[str, Any]) -> None:
    from prunescope.worker import stages

    for name, result in measured["tasks"].items():
        low, high = result["interval"]
        print(
            f"{name}: {result['accuracy']:.2%} of {result['rows']} rows "
            f"(95 % interval {low:.2%} to {high:.2%}; chance {result['chance']:.2%})"
            + (f"; {stages.cut_words(result['truncated'], measured['context'])}" if result["truncated"] else "")
        )
    for name, result in measured["perplexity"].items():
        low, high = result["interval"] or (None, None)
        print(
            f"{name}: perplexity {result['perplexity']:.4g} on {result['windows']} windows of {result['seqlen']} tokens"
            + (f" (95 % interval {low:.4g} to {high:.4g})" if low is not None else "")
            + (", each begins with BOS" if result["bos"] else "")
            + f", from {result['source']}"
        )
    sys.stdout.flush()


def _write_measured(place: Path, file: Path, model: str, measured: Mapping[str, Any]) -> None:
    kept, texts = (
        {name: {key: result[key] for key in result if key != whole} for name, result in found.items()}
        for found, whole in ((measured["tasks"], "examples"), (measured["perplexity"], "nlls"))
    )
    text = json.dumps({"model": model, "tasks": kept, "perplexity": texts}, indent=1, allow_nan=False) + "\n"
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"the results above could not be written to {file}: {error.strerror}") from error


def attribute(
    settings: Settings,
    output: Path,
    *,
    dense: str,
    pruned: Sequence[str],
    texts: Path,
    prompt: str,
    words: str | None,
    activation: str,
    layers: str | None,
    permutations: int,
    floor: float,
    special_tokens: bool,
    causal: str | None,
    causal_limit: int | None,
    causal_draws: int | None,
    causal_neurons: int | None,
    causal_layers: str | None,
    seed: int,
) -> None:
    """Write an attribution to `output`, a Zarr group. Raises Refusal, Problem or BadInput as `prune`."""
    checked_folder(output)
    check_readable(texts, "--texts")
    document: dict[str, Any] = {
        "dense": dense,
        "pruned": list(pruned),
        "texts": text_rows(texts),
        "prompt": prompt,
        "words": words,
        "activation": activation,
        "layers": None if layers is None else numbers(layers, "--layers"),
        "permutations": permutations,
        "floor": floor,
        "special_tokens": special_tokens,
        "causal": causal_stage(causal, causal_limit, causal_draws, causal_neurons, causal_layers),
        "seed": seed,
    }
    spec = parse_spec(JobKind.ATTRIBUTE, document)
    assert isinstance(spec, AttributeSpec)
    check_outside(output, map(_folder, (spec.dense, *spec.pruned)), OUTPUT)
    with new_folder(output) as folder, _running(settings) as context:
        from prunescope.worker import stages

        summary = stages.attribute(spec, folder, context)
    print(
        f"{output}: {summary['texts']} texts, {summary['influential_tokens']} influential tokens, "
        f"{summary['ranked']} of {summary['neurons']} neurons ranked"
    )
    for line in text_lines(summary):
        print(line)


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator["Context"]:
    """The surroundings of a stage on the command line. SIGTERM ends it as Ctrl-C does."""
    from prunescope.worker.lifetime import wait_politely

    wait_politely()
    from transformers.utils import logging as transformers_logging

    from prunescope.worker.context import Context
    from prunescope.worker.models import WarmModels

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    transformers_logging.set_verbosity_error()  # its hints are for programmers
    transformers_logging.disable_progress_bar()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with Display() as display:
            yield Context(
                settings=settings,
                models=WarmModels(settings.device, settings.dtype),
                place_of=lambda reference: _place(reference, settings),
                file_of=_file,
                report=display.show,
                check=lambda: None,
            )
    finally:
        signal.signal(signal.SIGTERM, before)


def _place(reference: str, settings: Settings) -> Path | str:
    """Any folder, a hub id or `demo` as it stands; `pruned:<id>` is a model of the data folder."""
    if not reference.startswith(PRUNED):
        return reference if _folder(reference) is None or reference == DEMO else expanded(reference)
    from prunescope.jobs.references import resolve_model
    from prunescope.store.artefacts.folders import Artefacts

    artefacts = Artefacts(settings.resolved_artefacts_url, settings.resolved_home / "cache")
    return resolve_model(reference, settings, artefacts.fetch_model)


def _folder(reference: str) -> Path | None:
    """The folder that a reference names itself, whether it holds a model or not."""
    if reference == DEMO:
        return DEMO_FOLDER
    with refusing(f"model {reference!r}:"):
        if reference.startswith("~") or (os.sep in reference and os.path.lexists(reference)):
            return expanded(reference)
        return Path(reference) if expanded(reference).is_dir() else None


def _file(name: str) -> Path:
    """A file of text or windows that was named by its path."""
    file = expanded(name)
    if file.exists():  # what is missing is told by who reads it, with what there is
        check_readable(file, "file")
    return file
