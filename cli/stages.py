"""`prunescope prune | evaluate | attribute`: runs one stage in this process, without the queue.

The options are converted to a spec, which `prunescope/running.py` runs, and a summary of the result is printed.

Each function raises Refusal or BadInput for errors that the user can correct, Problem for an invalid spec or an input
that cannot be read, and Failure for other known errors (a result that cannot be stored).
"""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prunescope import running
from prunescope.cli.headlines import headline_lines
from prunescope.cli.options import causal_stage, key_values, names, numbers, text_rows
from prunescope.cli.progress import Display
from prunescope.cli.text_lines import text_lines
from prunescope.errors import Failure, Refusal
from prunescope.inputs import calibration_source, check_readable
from prunescope.jobs.documents import JobKind
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, parse_spec
from prunescope.outputs import JSON, check_outside, checked_folder, new_file


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
    """Write a pruned copy of a model to the folder `output` and print a summary. After an interruption, the same
    command resumes after the last finished layer. For errors, see the module's docstring; Unfinished, if an
    interruption or an error left finished layers."""
    if (pattern is None) == (sparsity is None):
        raise Refusal("give the amount to prune: either --sparsity 0.5 or --pattern 2:4")
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
    with displayed() as report:
        record = running.prune(spec, output, settings, report)
    earlier = (
        f", {record['restored']} of {len(record['layers'])} layers resumed from an earlier run"
        if record["restored"]
        else ""
    )
    print(
        f"{output}: {record['label']}, {record['sparsity']:.2%} zeros, {record['seconds']:.1f} s{earlier}"
        f"{_matrix_notes(record)}"
    )


def _matrix_notes(record: dict[str, Any]) -> str:
    """A note on the matrices whose sparsity differs from the requested one and on those without a measured output
    error: for each kind their number, and the first matrix with its reason; empty if there are none."""
    words = {
        "sparsity_note": "do not have the requested sparsity",
        "error_note": "have no output error that could be measured",
    }
    text = ""
    for key, what in words.items():
        places = [(layer["layer"], each) for layer in record["layers"] for each in layer["matrices"] if each[key]]
        if places:
            layer, first = places[0]
            text += f"; {len(places)} matrices {what}, layer {layer} {first['name']} first ({first[key]})"
    return text


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
    """Measure a model's accuracy on `tasks` and its perplexity on the texts of `perplexity` (both comma-separated),
    print the results, and write them to `file` as JSON if it is given.

    `limit` is the number of rows of each task; `newline` is `real` or `literal`. `seqlen`, `windows` and `bos` (`auto`,
    `always` or `never`; None: `auto`) are options of perplexity. If `file` cannot be written, the results are printed
    all the same, and Failure is raised. For other errors, see the module's docstring.
    """
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
        raise Refusal("--seqlen, --windows and --bos need --perplexity: name its texts, or leave them out")
    spec = parse_spec(JobKind.EVALUATE, document)
    assert isinstance(spec, EvaluateSpec)
    with contextlib.ExitStack() as opened:
        place = None
        if file is not None:
            check_outside(file, [running.folder_named(spec.model)], JSON)
            place = opened.enter_context(new_file(file))
        with displayed() as report:
            measured = running.evaluate(spec, settings, report)
        try:
            _print_measured(measured)
        finally:  # try both: printing may fail (a closed pipe), and so may writing the file
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
    content_words: bool,
    activation: str,
    layers: str | None,
    placebo: int,
    permutations: int,
    floor: float,
    special_tokens: bool,
    sinks: bool,
    causal: str | None,
    causal_limit: int | None,
    causal_draws: int | None,
    causal_neurons: int | None,
    causal_layers: str | None,
    seed: int,
) -> None:
    """Write an attribution to `output`, a Zarr group, and print a summary. `texts` is a JSON Lines file. For errors,
    see the module's docstring."""
    checked_folder(output)
    check_readable(texts, "--texts")
    document: dict[str, Any] = {
        "dense": dense,
        "pruned": list(pruned),
        "texts": text_rows(texts),
        "prompt": prompt,
        "words": {"source": words, "content": content_words},
        "activation": activation,
        "layers": None if layers is None else numbers(layers, "--layers"),
        "placebo": placebo,
        "permutations": permutations,
        "floor": floor,
        "special_tokens": special_tokens,
        "sinks": sinks,
        "causal": causal_stage(causal, causal_limit, causal_draws, causal_neurons, causal_layers),
        "seed": seed,
    }
    spec = parse_spec(JobKind.ATTRIBUTE, document)
    assert isinstance(spec, AttributeSpec)
    with displayed() as report:
        summary = running.attribute(spec, output, settings, report)
    print(
        f"{output}: {summary['texts']} texts, {summary['influential_tokens']} influential tokens, "
        f"{summary['ranked']} of {summary['neurons']} neurons ranked"
    )
    for line in (*headline_lines(output), *text_lines(summary)):
        print(line)


@contextlib.contextmanager
def displayed() -> Iterator[running.Report]:
    """Context manager: yield a progress callback that displays what it gets. During the block, SIGTERM raises
    KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with Display() as display:
            yield display.show
    finally:
        signal.signal(signal.SIGTERM, before)
