"""`prunescope prune | evaluate | attribute`: one stage here and now, without the queue.

What was typed becomes the same spec that a job has and is checked in the same way; only, any folder will do for a
model: the model roots are for jobs.
"""

import contextlib
import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import Failure, Refusal
from cli.options import calibration_source, causal_stage, key_values, names, numbers, text_rows
from cli.output import check_free, new_file, new_folder, resumed_folder, unfinished_place
from cli.progress import Display
from jobs.documents import JobKind
from jobs.references import PRUNED
from jobs.settings import Settings
from jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, parse_spec

if TYPE_CHECKING:
    from worker.context import Context


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
    key = unfinished_key(output, spec)
    hidden = unfinished_place(output, key)
    try:
        with resumed_folder(output, key) as (folder, finished), _running(settings) as context:
            from worker import stages

            record = stages.prune(spec, folder, context, finished)
    except KeyboardInterrupt:
        if hidden.exists():
            raise Failure(
                f"stopped; finished layers are kept in {hidden}, and the same command goes on from there"
            ) from None
        raise
    earlier = f", {record['restored']} of {len(record['layers'])} layers from before" if record["restored"] else ""
    print(f"{output}: {record['label']}, {record['sparsity']:.2%} zeros, {record['seconds']:.1f} s{earlier}")


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
    """Print a model's accuracy on tasks and its perplexity on texts, and write both to `file`. Raises Refusal, Problem
    or BadInput as `prune`."""
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
        place = None if file is None else opened.enter_context(new_file(file))
        with _running(settings) as context:
            from worker import stages

            measured = stages.evaluate(spec, None, context)
        results, perplexities = measured["tasks"], measured["perplexity"]
        if place is not None:
            kept, texts = (
                {name: {key: result[key] for key in result if key != whole} for name, result in found.items()}
                for found, whole in ((results, "examples"), (perplexities, "nlls"))
            )
            written = {"model": model, "tasks": kept, "perplexity": texts}
            place.write_text(json.dumps(written, indent=1, allow_nan=False) + "\n")
    for name, result in results.items():
        low, high = result["interval"]
        print(
            f"{name}: {result['accuracy']:.2%} of {result['rows']} rows "
            f"(95 % interval {low:.2%} to {high:.2%}; chance {result['chance']:.2%})"
            + (f"; {stages.cut_words(result['truncated'], measured['context'])}" if result["truncated"] else "")
        )
    for name, result in perplexities.items():
        low, high = result["interval"] or (None, None)
        print(
            f"{name}: perplexity {result['perplexity']:.4g} on {result['windows']} windows of {result['seqlen']} tokens"
            + (f" (95 % interval {low:.4g} to {high:.4g})" if low is not None else "")
            + (", each begins with BOS" if result["bos"] else "")
            + f", from {result['source']}"
        )


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
    check_free(output)
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
    with new_folder(output) as folder, _running(settings) as context:
        from worker import stages

        summary = stages.attribute(spec, folder, context)
    dropped = len(summary["dropped"])
    print(
        f"{output}: {summary['texts']} texts, {summary['influential_tokens']} influential tokens, "
        f"{summary['ranked']} of {summary['neurons']} neurons ranked"
        + (f", {dropped} words dropped that the texts do not have" if dropped else "")
    )


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator["Context"]:
    """The surroundings of a stage on the command line. SIGTERM ends it as Ctrl-C does."""
    from worker.lifetime import wait_politely

    wait_politely()
    from transformers.utils import logging as transformers_logging

    from worker.context import Context
    from worker.models import WarmModels

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
                file_of=Path,
                report=display.show,
                check=lambda: None,
            )
    finally:
        signal.signal(signal.SIGTERM, before)


def _place(reference: str, settings: Settings) -> Path | str:
    """Any folder, a hub id or `demo` as it stands; `pruned:<id>` is a model of the data folder."""
    if not reference.startswith(PRUNED):
        return reference
    from jobs.references import resolve_model
    from store.artefacts import Artefacts

    return resolve_model(reference, settings, Artefacts(settings.resolved_artefacts_url).fetch_model)
