"""How long the constrained list of influential words takes beside the free answer to the same question.

    python -m benchmarks.words MODEL [--task sst2] [--texts 10] [--data ../shared/datasets]

Both are asked about the same rows of a task, text by text in alternating order, with the same prompt; the model is
asked once before, so that no first call is timed. `words` are texts with a word of the text in the answer.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import described, machine
from benchmarks.tables import insert, table
from prunescope.evaluation.prompts import task_texts
from prunescope.jobs.vocabulary import TASKS
from prunescope.lm.loading import LanguageModel, load
from prunescope.nsa.texts import FoundWords, Text
from prunescope.nsa.words import cot_words, free_cot_words

LIMIT = 1.2
"""What the constrained list may take, as a multiple of the free answer."""
SOURCES: Mapping[str, Callable[[Text, LanguageModel], FoundWords | None]] = {
    "cot": cot_words,
    "cot-free": free_cot_words,
}


def measure(lm: LanguageModel, texts: Sequence[Text]) -> dict[str, dict[str, float]]:
    """Source -> seconds for all texts, texts with words, and characters of the answers."""
    found = {source: {"seconds": 0.0, "words": 0, "characters": 0} for source in SOURCES}
    cot_words(texts[0], lm)
    for number, text in enumerate(texts):
        for source in (*SOURCES,) if number % 2 else reversed([*SOURCES]):
            began = time.perf_counter()
            words = SOURCES[source](text, lm)
            found[source]["seconds"] += time.perf_counter() - began
            found[source]["words"] += bool(words and words.words)
            found[source]["characters"] += len((words and words.answer) or "")
    return found


def markdown(document: Mapping[str, Any]) -> str:
    """The measurements as a table, and the ratio with its limit."""
    found = document["sources"]
    rows = [
        [source, f"{each['seconds']:.1f}", f"{each['words']:.0f} of {document['texts']}", f"{each['characters']:.0f}"]
        for source, each in found.items()
    ]
    ratio = found["cot"]["seconds"] / found["cot-free"]["seconds"]
    return "\n\n".join(
        (
            f"`{document['command']}` on {document['machine']}.",
            table(["source", "seconds", "texts with words", "characters of the answers"], rows),
            f"The constrained list takes {ratio:.2f} times the time of the free answer; at most {LIMIT}: "
            f"{'met' if ratio <= LIMIT else 'missed'}.",
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--task", default="sst2", choices=list(TASKS))
    parser.add_argument("--texts", type=int, default=10)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    given = parser.parse_args(arguments)
    lm = load(given.model, device="cpu")
    rows = task_texts(given.task, given.texts, 0, given.data)
    texts = [Text(row.text, row.label, None, row.before, row.after, TASKS[given.task]) for row in rows]
    facts = machine(torch.device("cpu"))
    document = {
        "benchmark": "words",
        "command": f"python -m benchmarks.words {Path(given.model).name} --task {given.task} --texts {given.texts}",
        "machine": facts,
        "model": {"name": Path(given.model).name, "parameters": lm.model.num_parameters()},
        "texts": len(texts),
        "sources": measure(lm, texts),
    }
    lines = markdown({**document, "machine": described(facts)})
    print(lines)
    if given.document is not None:
        insert(given.document, "words cpu", lines)
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
