"""Measures the figures of the demo model's card: accuracy dense and pruned, and its answers to the words prompt.

    python -m prunescope.demo.card --data DIR

`DIR/eval` holds sst2.jsonl and yelp.jsonl with the hub's field names; without `--data` only the demo's own reviews are
used. Prints the card's tables as Markdown.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from prunescope.evaluation import TaskResult, evaluate
from prunescope.lm.loading import DEMO, LanguageModel, load
from prunescope.lm.rows import file_documents
from prunescope.nsa.examples import Text
from prunescope.nsa.words import influential_words
from prunescope.pruning.calibration import calibration_windows
from prunescope.pruning.patterns import parse_pattern
from prunescope.pruning.walk import prune

METHODS = ("magnitude", "wanda", "ria", "sparsegpt")
PATTERNS = ("0.5", "2:4", "1:4")
REVIEWS = Path(__file__).parent / "reviews.jsonl"


def variants() -> Iterator[tuple[str, LanguageModel]]:
    """The dense model, then each pruned one, one at a time."""
    yield "dense", load(DEMO, device="cpu")
    for pattern, method in product(PATTERNS, METHODS):
        lm = load(DEMO, device="cpu")
        assert lm.tokenizer is not None  # the demo model has a tokenizer
        windows = calibration_windows("demo", lm.tokenizer, samples=64, seqlen=128, seed=0, context=512).windows
        prune(lm.model, method, parse_pattern(pattern), windows)
        yield f"{method} {pattern}", lm


def cell(result: TaskResult) -> str:
    low, high = result.interval
    return f"{100 * result.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def words_answers(lm: LanguageModel) -> tuple[int, int, int]:
    """Numbers of reviews, of answers that can be parsed, and of those that name only words of their text."""
    texts = [Text(text=text) for text in file_documents(REVIEWS)]
    found = influential_words(lm, texts, "cot-free")
    parsed = [f for f in found if f is not None and (f.words or f.dropped)]
    return len(texts), len(parsed), sum(1 for f in parsed if not f.dropped)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    data: Path | None = parser.parse_args().data
    tasks = ["sst2", "yelp", "reviews"] if data else ["reviews"]
    print(f"| model | {' | '.join(tasks)} | words prompt: parses | only words of the text |")
    print(f"| --- |{' --- |' * (len(tasks) + 2)}")
    for name, lm in variants():
        results = evaluate(lm, tasks, data=data)
        asked, parsed, clean = words_answers(lm)
        cells = [cell(results[task]) for task in tasks]
        print(f"| {name} | {' | '.join(cells)} | {parsed} of {asked} | {clean} of {asked} |", flush=True)


if __name__ == "__main__":
    main()
