"""The spec of an explanation: what it accepts, its defaults, and its labels."""

from typing import Any

import pytest

from prunescope.jobs.fingerprints import fingerprint
from prunescope.jobs.labels import explained_label, explanation_facts
from prunescope.jobs.problems import Problem
from prunescope.jobs.references import named_models
from prunescope.jobs.specs import ExplainSpec, parse_spec
from prunescope.jobs.specs.explain import DEFAULT_COUNTS

EXPLAIN: dict[str, Any] = {"dense": "demo", "pruned": "pruned:0123456789abcdef", "task": "reviews"}
TEXT: dict[str, Any] = {"dense": "demo", "pruned": "pruned:0123456789abcdef", "perplexity": "demo"}


def test_a_spec_has_its_defaults_and_reads_back() -> None:
    spec = parse_spec("explain", EXPLAIN)
    assert isinstance(spec, ExplainSpec)
    assert (spec.rows, spec.limit, spec.neurons, spec.steps, spec.draws) == ("broken", 200, DEFAULT_COUNTS, 8, 5)
    assert (spec.heads, spec.sinks, spec.content, spec.source) == (True, False, False, "reviews")
    assert parse_spec("explain", spec.model_dump(mode="json")) == spec


def test_counts_are_ascending_and_each_is_there_once() -> None:
    spec = parse_spec("explain", {**EXPLAIN, "neurons": [30, 1, 30]})
    assert isinstance(spec, ExplainSpec) and spec.neurons == (1, 30)
    assert fingerprint("explain", spec, {}) == fingerprint(
        "explain", parse_spec("explain", {**EXPLAIN, "neurons": [1, 30]}), {}
    )


def test_the_windows_of_a_text_are_those_whose_margin_fell() -> None:
    spec = parse_spec("explain", TEXT)
    assert isinstance(spec, ExplainSpec) and spec.perplexity is not None
    assert (spec.rows, spec.perplexity.dataset, spec.perplexity.bos, spec.source) == ("fell", "demo", "auto", "demo")
    assert parse_spec("explain", spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"task": "arc"}, "task", "arc_easy"),
        ({"task": None}, "task", "needs either a task or a text"),
        ({"perplexity": "demo"}, "task", "needs either a task or a text"),
        ({"pruned": "demo"}, "pruned", "is the dense model already"),
        ({"pruned": ["a/b"]}, "pruned", "string"),
        ({"rows": "lost"}, "rows", "broken"),
        ({"limit": 3}, "limit", "greater than or equal to 4"),
        ({"limit": 10**6}, "limit", "less than or equal to"),
        ({"neurons": []}, "neurons", "at least 1"),
        ({"neurons": [0]}, "neurons.0", "greater than or equal to 1"),
        ({"draws": 1}, "draws", "greater than or equal to 2"),
        ({"steps": 0}, "steps", "greater than or equal to 1"),
        ({"heads": 1}, "heads", "true or false"),
        ({"variants": []}, "variants", "unknown field"),
    ],
)
def test_an_invalid_field_is_named(change: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_spec("explain", {**EXPLAIN, **change})
    assert caught.value.errors[0].field == field and said in caught.value.errors[0].message


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"rows": "broken"}, "rows", "no right answer"),
        ({"content": True}, "content", "no labels"),
        ({"perplexity": {"dataset": "novel"}}, "perplexity.dataset", ".txt"),
    ],
)
def test_a_text_has_no_right_answers_and_no_labels(change: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_spec("explain", {**TEXT, **change})
    assert caught.value.errors[0].field == field and said in caught.value.errors[0].message


def test_labels_say_what_is_explained() -> None:
    task = parse_spec("explain", {**EXPLAIN, "limit": 150, "content": True, "heads": False}).model_dump(mode="json")
    assert explained_label(task) == "reviews, 150 rows"
    assert explanation_facts(task)[:3] == ("rows broken", "ranked by content", "without heads")
    text = parse_spec("explain", {**TEXT, "perplexity": {"dataset": "a/b.txt", "seqlen": 64}, "limit": 20})
    assert explained_label(text.model_dump(mode="json")) == "loss on b.txt, 20 windows of 64"


def test_both_models_are_named() -> None:
    assert named_models(parse_spec("explain", EXPLAIN).model_dump()) == [
        ("dense", "demo"),
        ("pruned", "pruned:0123456789abcdef"),
    ]
