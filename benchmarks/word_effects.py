"""How well the word source `gradient` estimates the effects that `occlusion` measures.

    python -m benchmarks.word_effects MODEL [--task sst2] [--texts 20] [--seed 0] [--data ../shared/datasets]

For every row of a task: Spearman's rank correlation of the two sources over the row's distinct words, the share of
occlusion's five words with the largest effect that are also gradient's, and whether the first word is the same.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.machine import described, machine
from benchmarks.tables import table
from prunescope.evaluation.prompts import task_texts
from prunescope.jobs.vocabulary import TASKS
from prunescope.lm.loading import LanguageModel, load
from prunescope.nsa.gradient import word_gradients
from prunescope.nsa.labels import MAX_WORDS
from prunescope.nsa.occlusion import label_drops
from prunescope.nsa.texts import Text

MIN_WORDS = 4
"""Minimum number of distinct words for a rank correlation."""


def measure(lm: LanguageModel, texts: Sequence[Text]) -> dict[str, Any]:
    """The three measures of each row with at least MIN_WORDS words, and the seconds of both sources for all rows."""
    rows: list[dict[str, float]] = []
    seconds = {"occlusion": 0.0, "gradient": 0.0}
    for text in texts:
        began = time.perf_counter()
        drops = label_drops(lm, text)
        between = time.perf_counter()
        estimates = word_gradients(lm, text)
        seconds["occlusion"] += between - began
        seconds["gradient"] += time.perf_counter() - between
        if drops is None or estimates is None or len(drops) < MIN_WORDS:
            continue
        largest = [sorted(drops, key=lambda word: -found[word])[:MAX_WORDS] for found in (drops, estimates)]
        rows.append(
            {
                "words": len(drops),
                "correlation": float(spearmanr(list(drops.values()), [estimates[word] for word in drops])[0]),
                "overlap": len(set(largest[0]) & set(largest[1])) / len(largest[0]),
                "first": float(largest[0][0] == largest[1][0]),
            }
        )
    return {"rows": rows, "seconds": seconds}


def markdown(document: Mapping[str, Any]) -> str:
    """The measurements as a table."""
    lines = []
    for task, found in document["tasks"].items():
        correlations = [row["correlation"] for row in found["rows"]]
        low, quarter, median, three_quarters, high = np.quantile(correlations, (0, 0.25, 0.5, 0.75, 1))
        seconds = found["seconds"]
        lines.append(
            [
                f"{task} ({len(correlations)} rows)",
                f"{median:.2f}",
                f"{quarter:.2f} to {three_quarters:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{np.mean([row['overlap'] for row in found['rows']]):.0%}",
                f"{np.mean([row['first'] for row in found['rows']]):.0%}",
                f"{seconds['gradient']:.1f} / {seconds['occlusion']:.1f}",
            ]
        )
    columns = ["task", "median", "middle half", "range", "same of five", "same first word", "s, gradient / occlusion"]
    return "\n\n".join((f"`{document['command']}` on {document['machine']}.", table(columns, lines)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--task", action="append", choices=list(TASKS), help="may be repeated; default: sst2")
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of rows")
    given = parser.parse_args(arguments)
    tasks = given.task or ["sst2"]
    lm = load(given.model, device="cpu")
    found = {}
    for task in tasks:
        rows = task_texts(task, given.texts, given.seed, given.data)
        found[task] = measure(lm, [Text(row.text, row.label, None, row.before, row.after, TASKS[task]) for row in rows])
    facts = machine(torch.device("cpu"))
    document = {
        "benchmark": "word effects",
        "command": f"python -m benchmarks.word_effects {Path(given.model).name} "
        f"{' '.join(f'--task {task}' for task in tasks)} --texts {given.texts} --seed {given.seed}",
        "machine": facts,
        "model": {"name": Path(given.model).name, "parameters": lm.model.num_parameters()},
        "tasks": found,
    }
    lines = markdown({**document, "machine": described(facts)})
    print(lines)
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
