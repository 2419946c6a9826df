"""Benchmarks evaluation in rows per second against lm-evaluation-harness's command, on the same model, batch and rows.

    python -m benchmarks.evaluation --data ../shared/datasets --model ../shared/models/stories260K --shape small

A shape is a model with random weights (`benchmarks/shapes.py`) with the tokenizer and the context of the first --model.
Three commands are run, each in its own process, once per round, and in reverse order every second round:

    prunescope evaluate             chooses its batch itself
    prunescope evaluate, batch B    the same with B sequences at once
    lm_eval, batch B                `python -m lm_eval run --model hf`, with our definitions of the tasks

`command` is the time from the process's start to its end. `evaluation` excludes imports and loading the model:
definitions, rows, prompts, tokenisation, forward passes, accuracies. `scoring` is tokenisation and forward passes alone
(`benchmarks/evaluation_runner.py`). Rows per second refer to `evaluation`. Ours counts as not slower when the medians
over the rounds of (our time / their time) are at most 1, for `evaluation` and `command` at the same batch size. The
accuracies must be equal.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluation_work import OURS_BATCH, THEIRS, Taken, Work, prepare, run, shaped
from benchmarks.machine import described, machine
from benchmarks.shapes import SHAPES
from benchmarks.tables import insert, table
from prunescope.lm.loading import DEMO

PARTS = ("command", "evaluation", "scoring")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    facts = machine(torch.device("cpu")) | {"threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = prepare(options.tasks.split(","), options.data, options.rows, place)
        models = {_last(name): DEMO if name == "demo" else Path(name).resolve() for name in options.model}
        for name in options.shape:
            models[f"shape {name}"] = shaped(name, next(iter(models.values())), place)
        tasks = tuple(rows)
        works = {name: Work(model, tasks, place, options.batch, options.threads) for name, model in models.items()}
        found = {name: measure(name, work, options.rounds) for name, work in works.items()}
    document = {
        "benchmark": "evaluation",
        "command": f"python -m benchmarks.evaluation --rows {options.rows} --batch {options.batch} "
        f"--rounds {options.rounds}",
        "machine": facts,
        "rounds": options.rounds,
        "batch": options.batch,
        "rows": rows,
        "models": {name: {**one, "verdict": verdict(one, options.batch)} for name, one in found.items()},
    }
    lines = markdown(document)
    print(f"\n{lines}")
    if options.document:
        insert(options.document, "evaluation cpu", lines)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def measure(name: str, work: Work, rounds: int) -> dict[str, Any]:
    """Run all rounds for one model. Raises RuntimeError when the accuracies differ."""
    taken: dict[str, list[Taken]] = {contender: [] for contender in work.commands()}
    accuracies: dict[str, dict[str, float]] = {}
    for number in range(rounds):
        commands = [*work.commands().items()]
        for contender, command in commands if number % 2 == 0 else reversed(commands):
            seconds, accuracies[contender] = run(command, work)
            taken[contender].append(seconds)
            told = "  ".join(f"{part} {seconds[part]:6.2f} s" for part in PARTS)
            print(f"{name}  round {number + 1} of {rounds}  {told}  {contender}", flush=True)
    accuracy, *others = accuracies.values()
    if any(other != accuracy for other in others):
        raise RuntimeError(f"{name}: the accuracies differ, so it was not the same work: {accuracies}")
    return {"accuracy": accuracy, "seconds": taken}


def verdict(found: Mapping[str, Any], batch: int) -> dict[str, Any]:
    """Median of (our time / their time) for each part at the same batch size, and whether ours is not slower."""
    ours, theirs = (found["seconds"][name.format(batch)] for name in (OURS_BATCH, THEIRS))
    ratio = {
        part: statistics.median(own[part] / other[part] for own, other in zip(ours, theirs, strict=True))
        for part in (*PARTS, "cpu")
    }
    return {"ours_over_theirs": ratio, "not_slower": ratio["evaluation"] <= 1 and ratio["command"] <= 1}


def markdown(document: Mapping[str, Any]) -> str:
    """Format the medians over the rounds as a table, with the verdicts."""
    rows, verdicts = [], []
    number = sum(document["rows"].values())
    for name, found in document["models"].items():
        for contender, rounds in found["seconds"].items():
            middle = {part: statistics.median(one[part] for one in rounds) for part in (*PARTS, "cpu")}
            seconds = [f"{middle[part]:.2f}" for part in PARTS]
            speed = [f"{number / middle[part]:.0f}" for part in ("evaluation", "cpu")]
            rows.append([f"{name}: {contender}", *seconds, *speed])
        ratio = found["verdict"]["ours_over_theirs"]
        parts = ", ".join(f"{part} {ratio[part]:.2f}" for part in PARTS) + f", CPU time {ratio['cpu']:.2f}"
        said = "not slower" if found["verdict"]["not_slower"] else "**slower**"
        verdicts.append(f"- {name}: {said}; our time over theirs, same batch: {parts}.")
    head = [f"{number} rows", "command, s", "evaluation, s", "scoring, s", "rows/s", "rows/s of CPU time"]
    return "\n\n".join(
        [
            f"`{document['command']}`: the first rows of {', '.join(document['rows'])}, float32, "
            f"batch {document['batch']}, medians of {document['rounds']} alternating rounds, "
            f"on {described(document['machine'])}. Every task's accuracy is the same for all.",
            table(head, rows),
            "\n".join(verdicts),
        ]
    )


def _last(reference: str) -> str:
    return reference.rstrip("/").rpartition("/")[2]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Rows a second of an evaluation, beside the harness's own command.")
    parser.add_argument("--data", type=Path, required=True, help="a folder with eval/<task>.jsonl")
    parser.add_argument("--model", action="append", required=True, help="demo, or a folder; may be repeated")
    parser.add_argument("--shape", action="append", default=[], choices=SHAPES, help="may be repeated")
    parser.add_argument("--tasks", default="sst2,arc_easy,boolq", help="with commas between them")
    parser.add_argument("--rows", type=int, default=200, help="of each task, at most")
    parser.add_argument("--batch", type=int, default=16, help="sequences at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each process")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
