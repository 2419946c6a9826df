"""The command `explain`: what pruning broke on a task or a text, and through which neurons."""

import contextlib
import json as json_module
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prunescope.cli.parameters import PATH, Data, Device, Dtype, Seed
from prunescope.errors import Failure

if TYPE_CHECKING:
    from prunescope.store.explanations.documents import Explanation

SHOWN_NEURONS = 10
"""Neurons behind the loss that are printed."""


def explain(
    dense: Annotated[str, typer.Option(help="The unpruned model.")],
    pruned: Annotated[str, typer.Option(help="A pruned copy of it.")],
    task: Annotated[str | None, typer.Option(help="A task: arc_easy, sst2, reviews, ...")] = None,
    perplexity: Annotated[
        str | None,
        typer.Option(help="Instead of a task: wikitext2, ptb, c4, demo, or a .txt or .jsonl file. Explains its loss."),
    ] = None,
    limit: Annotated[int, typer.Option(min=4, help="First rows of the task, or windows of the text.")] = 200,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Held-out rows over which restored margins are summed: broken (right before pruning, wrong after it), "
            "fell (the margin is lower), or all.  [default: broken; fell for a text]"
        ),
    ] = None,
    neurons: Annotated[
        str | None,
        typer.Option(
            help="Numbers of neurons to restore, separated by commas; 5 % and all are always added.  [default: "
            "1,3,10,30,100,500]"
        ),
    ] = None,
    heads: Annotated[bool, typer.Option("--heads/--no-heads", help="Also measure attention heads.")] = True,
    sinks: Annotated[bool, typer.Option("--sinks", help="Count position 0 and special tokens too.")] = False,
    content: Annotated[
        bool, typer.Option("--content", help="Rank by the share without the shift towards one label.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Steps of integrated gradients.")] = 8,
    draws: Annotated[int, typer.Option(min=2, help="Random draws of neurons in the same layers.")] = 5,
    seqlen: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a window of text.  [default: at most 512]")
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the explanation; must not exist yet, or be empty.", **PATH)
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.", **PATH)] = None,
    data: Data = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Find what pruning broke, and through which neurons, without a server."""
    from prunescope import running
    from prunescope.cli.options import numbers
    from prunescope.cli.stages import displayed
    from prunescope.errors import Refusal
    from prunescope.jobs.documents import JobKind
    from prunescope.jobs.specs import ExplainSpec, parse_spec
    from prunescope.outputs import JSON, check_outside, checked_folder, new_file
    from prunescope.settings import read_settings

    settings = read_settings(data=data, device=device, dtype=dtype)
    if seqlen is not None and perplexity is None:
        raise Refusal("--seqlen needs --perplexity: name its text, or leave it out")
    document: dict[str, Any] = {
        "dense": dense,
        "pruned": pruned,
        "task": task,
        "perplexity": None if perplexity is None else {"dataset": perplexity, "seqlen": seqlen},
        "limit": limit,
        "heads": heads,
        "sinks": sinks,
        "content": content,
        "steps": steps,
        "draws": draws,
        "seed": seed,
        **({} if rows is None else {"rows": rows}),
        **({} if neurons is None else {"neurons": numbers(neurons, "--neurons")}),
    }
    spec = parse_spec(JobKind.EXPLAIN, document)
    assert isinstance(spec, ExplainSpec)
    if output is not None:
        checked_folder(output)
    with contextlib.ExitStack() as opened:
        place = None
        if json is not None:
            check_outside(json, [running.folder_named(name) for name in (spec.dense, spec.pruned)], JSON)
            place = opened.enter_context(new_file(json))
        with displayed() as report:
            found = running.explain(spec, output, settings, report)
        try:
            for line in lines_of(found):
                print(line)
            sys.stdout.flush()
        finally:  # try both: printing may fail (a closed pipe), and so may writing the file
            if json is not None and place is not None:
                _write(place, json, found)


def lines_of(found: "Explanation") -> list[str]:
    """The explanation as lines of text: rows, restored margins by ranking, completeness, and neurons."""
    rows, margins, unit = found.rows, found.margins, "rows" if found.measure == "margin" else "windows"
    counted = f"{rows.rows} {unit}: the margin fell in {rows.fell}"
    if found.measure == "margin":
        counted = (
            f"{rows.rows} rows: pruning broke {rows.broken} and mended {rows.mended}; the margin fell in {rows.fell}"
        )
    lines = [
        f"{found.labels[1]}, {found.source.task or found.source.perplexity}, {counted}",
        f"{rows.ranked} {unit} rank the neurons, those of each half for the other half; restored margins are summed "
        f"over {rows.measured} {unit} ({rows.measured_are}), which lost {margins.lost:.3f} nats each on average "
        f"({margins.dense:+.3f} to {margins.pruned:+.3f})",
    ]
    if found.accuracy is not None:
        accuracy = found.accuracy
        lines.append(
            f"accuracy over all rows: dense {accuracy.dense:.1%}, pruned {accuracy.pruned:.1%}, pruned with "
            f"the dense activations of all neurons {accuracy.patched:.1%}"
        )
    if found.answers is not None:
        answers = found.answers
        said = ", ".join(
            f"{name} {getattr(answers.said, name)[answers.fallen]:.1%}" for name in ("dense", "pruned", "patched")
        )
        lines.append(f"share of rows in which {answers.fallen!r} is said: {said}")
    lines += ["", "restored by the best k neurons", *_table(found)]
    lines += ["", *_whole(found), ""]
    lines.append("neurons behind the loss (lost-margin share):")
    for each in found.neurons[:SHOWN_NEURONS]:
        words = ", ".join(f"{word.word} {word.dense:.2f} > {word.pruned:.2f}" for word in each.words[:3])
        lines.append(f"  {each.name:12} {each.share:7.2%}  {words}".rstrip())
    return [*lines, *found.notes]


def _table(found: "Explanation") -> list[str]:
    counts = [point.k for point in found.curves["margin"]]
    lines = [f"{'k':12}" + "".join(f"{count:>9,}" for count in counts)]
    for name, curve in found.curves.items():
        lines.append(f"{name:12}" + "".join(f"{point.restored:9.1%}" for point in curve))
    if found.measure == "margin":
        again = "".join(f"{point.right_again:9g}" for point in found.curves["margin"])
        wrong = "".join(f"{point.newly_wrong:9g}" for point in found.curves["margin"])
        lines += [f"{'right again':12}{again}", f"{'newly wrong':12}{wrong}"]
    return lines


def _whole(found: "Explanation") -> list[str]:
    lines = []
    for name in ("neurons", "heads", "both"):
        each, shares = getattr(found.all, name), getattr(found.accounting, name)
        if each is not None:
            named = {"neurons": "all neurons", "heads": "all heads", "both": "all neurons and heads"}[name]
            interval = "" if each.low is None else f" (95 % interval {each.low:.1%} to {each.high:.1%})"
            lines.append(f"{named}: {each.restored:.1%} restored{interval}; integrated shares add up to {shares:.1%}")
    reverse = found.reverse
    parts = [f"all neurons {reverse.all.lost:.1%}"]
    for mine, random in zip(reverse.margin, reverse.random, strict=True):
        parts.append(f"best {mine.k:,} {mine.lost:.1%}, random {random.lost:.1%}")
    return [*lines, f"lost by the dense model with pruned activations: {'; '.join(parts)}"]


def document_of(found: "Explanation") -> dict[str, Any]:
    """The document of --json: that of the artefact, with the restored shares of `all` as plain numbers and their
    intervals in `all_intervals`."""
    document: dict[str, Any] = found.model_dump(mode="json")
    whole: Mapping[str, Any] = document["all"]
    return {
        **document,
        "all": {name: each and each["restored"] for name, each in whole.items()},
        "all_intervals": {name: each and _interval(each) for name, each in whole.items()},
    }


def _interval(each: Mapping[str, Any]) -> Sequence[float | None]:
    return [each["low"], each["high"]]


def _write(place: Path, file: Path, found: "Explanation") -> None:
    text = json_module.dumps(document_of(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"the results above could not be written to {file}: {error.strerror}") from error
