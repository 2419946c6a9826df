"""Makes the tables of docs/findings.md about a real model: accuracies, and through which neurons they were lost.

    python -m benchmarks.findings MODEL --data DIR --work FOLDER --document docs/findings.md

Every cell is one call of the command `prunescope` (prune, evaluate, explain), whose JSON and wall time are kept in
--work, so that an interrupted run goes on where it stopped and the table shows the cells that exist.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import insert, table

METHODS = ("wanda", "sparsegpt", "ria", "magnitude")
PATTERNS = ("0.5", "2:4", "0.6")
TASKS = ("sst2:200", "arc_easy:150", "sciq:60", "boolq:60")
DENSE = "dense"
CALIBRATION = ("--calibration", "c4", "--samples", "32", "--seqlen", "256")


@dataclass(frozen=True)
class Way:
    """A method and a pattern."""

    method: str
    pattern: str

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.method}-{self.pattern.replace('0.', '0').replace(':', '')}"

    @property
    def amount(self) -> tuple[str, str]:
        """The command's option."""
        return ("--pattern" if ":" in self.pattern else "--sparsity", self.pattern)


class Work:
    """The folder of finished cells: name -> <name>.json with `seconds` and, if the command writes one, `result`."""

    def __init__(self, folder: Path, *, only_show: bool) -> None:
        self.folder, self.only_show = folder, only_show
        folder.mkdir(parents=True, exist_ok=True)

    def cell(self, name: str, command: Sequence[str], *, result: bool = True) -> dict[str, Any] | None:
        """The cell, computed by `command` if it does not exist; None if it failed or is only to be shown."""
        file = self.folder / f"{name}.json"
        if not file.exists():
            if self.only_show:
                return None
            made = self.folder / f"{name}.result"
            began = time.monotonic()
            ended = subprocess.run(
                [sys.executable, "-m", "prunescope.cli", *command, *(("--json", str(made)) if result else ())],
                check=False,
                capture_output=True,
                text=True,
            )
            if ended.returncode:
                print(f"{name}: {ended.stderr.strip().splitlines()[-1]}", flush=True)
                return None
            document = json.loads(made.read_text(encoding="utf-8")) if result else None
            seconds = round(time.monotonic() - began, 1)
            file.write_text(json.dumps({"seconds": seconds, "result": document}) + "\n", encoding="utf-8")
            print(f"{name}: {seconds} s", flush=True)
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    work = Work(options.work, only_show=options.show)
    ways = [Way(method, pattern) for pattern in options.patterns for method in options.methods]
    limits = dict(task.split(":") for task in options.tasks)
    models = {DENSE: options.model}
    for way in ways:
        place = options.work / way.name
        command = ["prune", options.model, "--method", way.method, *way.amount, *CALIBRATION, *_data(options)]
        if work.cell(f"prune-{way.name}", [*command, "--output", str(place)], result=False):
            models[way.name] = str(place)
    for task, limit in limits.items():
        for name, place in models.items():
            work.cell(f"{name}-{task}", ["evaluate", place, "--tasks", task, "--limit", limit, *_data(options)])
    for task in options.explain:
        for name, place in models.items():
            if name != DENSE:
                asked = ["--dense", options.model, "--pruned", place, "--task", task, "--limit", limits[task]]
                work.cell(f"explain-{name}-{task}", ["explain", *asked, *_data(options)])
    text = f"{accuracies(options.work, list(limits))}\n\n{restored(options.work)}".strip()
    print(text)
    if options.document:
        insert(options.document, "findings", text)


def accuracies(folder: Path, tasks: Sequence[str]) -> str:
    """The table of accuracies with their 95 % intervals on the tasks that the dense model was measured on, and the
    seconds of pruning."""
    tasks = [task for task in tasks if (folder / f"{DENSE}-{task}.json").exists()]
    rows = []
    for way in (None, *(Way(method, pattern) for pattern in PATTERNS for method in METHODS)):
        name = DENSE if way is None else way.name
        cells = [_read(folder / f"{name}-{task}.json") for task in tasks]
        if any(cells):
            pruned = None if way is None else _read(folder / f"prune-{name}.json")
            label = DENSE if way is None else f"{way.method} {way.pattern}"
            texts = [
                "-" if cell is None else _accuracy(cell["result"]["tasks"][task])
                for cell, task in zip(cells, tasks, strict=True)
            ]
            rows.append([label, *texts, "-" if pruned is None else f"{pruned['seconds']:.0f}"])
    counts = [_rows(folder, task) for task in tasks]
    head = [f"{task} ({count} rows)" for task, count in zip(tasks, counts, strict=True)]
    return table(["model", *head, "prune, s"], rows)


def restored(folder: Path) -> str:
    """The table of the shares of lost margin that the chosen neurons restore, of every explanation in the folder."""
    rows = []
    for file in sorted(folder.glob("explain-*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        result = found["result"]
        curves = {
            ranking: next((point for point in points if point["k"] == 500), None)
            for ranking, points in result["curves"].items()
        }
        shares = [f"{100 * point['restored']:.1f} %" if point else "-" for point in curves.values()]
        whole = f"{100 * result['all']['neurons']:.1f} %"
        rows.append([file.stem.removeprefix("explain-"), *shares, whole, f"{found['seconds']:.0f}"])
        head = ["model and task", *(f"{ranking}, 500" for ranking in curves), "all MLP neurons", "s"]
    return table(head, rows) if rows else ""


def _accuracy(task: dict[str, Any]) -> str:
    low, high = task["interval"]
    return f"{100 * task['accuracy']:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def _rows(folder: Path, task: str) -> str:
    found = json.loads((folder / f"{DENSE}-{task}.json").read_text(encoding="utf-8"))
    return str(found["result"]["tasks"][task]["rows"])


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _data(options: argparse.Namespace) -> list[str]:
    return [] if options.data is None else ["--data", str(options.data)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder or a hub id")
    parser.add_argument("--work", type=Path, required=True, help="folder of pruned models and finished cells")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="pruning methods")
    parser.add_argument("--patterns", nargs="+", default=list(PATTERNS), help="sparsities and n:m patterns")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help="task:rows")
    parser.add_argument("--explain", nargs="*", default=["arc_easy", "sciq"], help="tasks whose losses are explained")
    parser.add_argument("--data", type=Path, help="a folder with eval/ and calibration/")
    parser.add_argument("--show", action="store_true", help="compute nothing, only show the finished cells")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the tables")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
