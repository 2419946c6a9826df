"""The spec of a corpus: its defaults, and what it refuses."""

from typing import Any

import pytest

from prunescope.jobs.bounds import MAX_CORPUS_TOKENS
from prunescope.jobs.labels import corpus_facts, corpus_label
from prunescope.jobs.problems import Problem
from prunescope.jobs.references import named_models
from prunescope.jobs.specs import CorpusSpec, parse_spec

CORPUS: dict[str, Any] = {"models": ["demo", "pruned:0123456789abcdef"], "dataset": "c4"}


def test_defaults() -> None:
    spec = parse_spec("corpus", CORPUS)
    assert isinstance(spec, CorpusSpec)
    assert (spec.tokens, spec.seqlen, spec.examples, spec.layers, spec.writes) == (100_000, None, 10, None, True)
    assert parse_spec("corpus", {**CORPUS, "layers": [3, 1, 3]}).model_dump()["layers"] == (1, 3)
    assert parse_spec("corpus", {**CORPUS, "dataset": "texts/mine.jsonl"}).model_dump()["dataset"] == "texts/mine.jsonl"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"models": []}, "models", "needs at least 1"),
        ({"models": ["demo", "demo"]}, "models.1", "'demo' is named twice"),
        ({"dataset": "c5"}, "dataset", "did you mean 'c4'|did you mean c4|c4"),
        ({"dataset": "mine.csv"}, "dataset", "a file that ends with .txt or .jsonl"),
        ({"tokens": 999}, "tokens", "greater than or equal to 1000"),
        ({"tokens": MAX_CORPUS_TOKENS}, "tokens", "give fewer tokens, or fewer models at a time"),
        ({"examples": 51}, "examples", "less than or equal to 50"),
        ({"layers": []}, "layers", "no layer was given"),
        ({"seqlen": 1}, "seqlen", "greater than or equal to 2"),
        ({"writes": "yes"}, "writes", "true or false"),
        ({"token": 1000}, "token", "did you mean 'tokens'"),
    ],
)
def test_what_is_refused(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(Problem, match=message) as caught:
        parse_spec("corpus", {**CORPUS, **change})
    assert [error.field for error in caught.value.errors] == [field]


def test_labels_and_references() -> None:
    spec = parse_spec("corpus", {**CORPUS, "dataset": "a/b.txt", "seqlen": 64}).model_dump(mode="json")
    assert corpus_label(spec) == "b.txt, 100,000 tokens"
    assert corpus_facts(spec)[:3] == ("windows of 64", "all layers", "10 examples")
    assert named_models(spec) == [("models", "demo"), ("models", "pruned:0123456789abcdef")]
