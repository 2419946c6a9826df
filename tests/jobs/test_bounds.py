"""Bounds of specs: every field has one, products are checked before anything is expanded, and errors about large
documents are short."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.jobs import bounds
from prunescope.jobs.briefs import MAX_BRIEF_ITEMS, brief_of, count_of
from prunescope.jobs.problems import Problem, bad_spec, near_names, unknown_name
from prunescope.jobs.shape import check_shape
from prunescope.jobs.specs import SPECS, AttributeSpec, StudySpec, parse_spec

STUDY: dict[str, Any] = {
    "models": ["demo"],
    "methods": ["wanda"],
    "patterns": [0.5],
    "calibrations": [{"dataset": "demo"}],
    "tasks": ["reviews"],
}
ATTRIBUTE: dict[str, Any] = {"dense": "demo", "pruned": ["a/b"], "texts": ["The food was bad"]}
PRUNE: dict[str, Any] = {"model": "demo", "method": "wanda", "pattern": 0.5, "calibration": {"dataset": "demo"}}
EVALUATE: dict[str, Any] = {"model": "demo", "tasks": ["reviews"]}


def refused(kind: str, document: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        parse_spec(kind, document)
    assert caught.value.status == 422
    return caught.value


def unbounded(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Paths of what has no bound in a JSON schema."""
    if "enum" in schema or "const" in schema or "$ref" in schema:
        return
    for form in ("anyOf", "oneOf", "allOf"):
        for index, each in enumerate(schema.get(form, [])):
            yield from unbounded(each, f"{path}.{form}{index}")
    match schema.get("type"):
        case "string":
            if "maxLength" not in schema:
                yield path
        case "number" | "integer":
            least, most = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
            if not (least & schema.keys() and most & schema.keys()):
                yield path
        case "array":
            if "maxItems" not in schema:
                yield path
            yield from unbounded(schema["items"], f"{path}[]")
        case "object":
            if schema.get("additionalProperties") is not False:
                yield path
            for name, field in schema.get("properties", {}).items():
                yield from unbounded(field, f"{path}.{name}")


@pytest.mark.parametrize("kind", [*SPECS])
def test_every_list_text_and_number_of_a_spec_has_a_bound(kind: Any) -> None:
    schema = SPECS[kind].model_json_schema()
    found = [*unbounded(schema, str(kind))]
    for name, definition in schema.get("$defs", {}).items():
        found += unbounded(definition, name)
    assert found == []


def test_the_walk_over_a_schema_finds_what_has_no_bound() -> None:
    fields = {
        "a": {"type": "string"},
        "b": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "c": {"type": "array", "items": {"type": "number"}},
    }
    schema = {"type": "object", "properties": fields, "additionalProperties": False}
    assert [*unbounded(schema, "spec")] == ["spec.a", "spec.b.anyOf0", "spec.c", "spec.c[]"]


@pytest.mark.parametrize(
    ("kind", "document", "field"),
    [
        ("evaluate", {**EVALUATE, "limit": 1e30}, "limit"),
        ("evaluate", {**EVALUATE, "limit": float("inf")}, "limit"),
        ("evaluate", {**EVALUATE, "limit": 10**9}, "limit"),
        ("evaluate", {**EVALUATE, "limit": int("9" * 4000)}, "limit"),
        ("evaluate", {**EVALUATE, "limit": "9" * 4000}, "limit"),
        ("evaluate", {**EVALUATE, "seed": 2**64}, "seed"),
        ("evaluate", {**EVALUATE, "perplexity": {"datasets": ["ptb"], "windows": 1e30}}, "perplexity.windows"),
        ("evaluate", {**EVALUATE, "tasks": ["reviews"] * 200_000}, "spec"),
        ("evaluate", {**EVALUATE, "tasks": ["reviews"] * 20_000}, "tasks"),
        ("evaluate", {**EVALUATE, "model": "a" * 10_000}, "model"),
        ("attribute", {**ATTRIBUTE, "causal": {"task": "reviews", "limit": 1e30}}, "causal.limit"),
        ("attribute", {**ATTRIBUTE, "causal": {"task": "reviews", "draws": 1e30}}, "causal.draws"),
        ("attribute", {**ATTRIBUTE, "causal": {"task": "reviews", "neurons": 1e30}}, "causal.neurons"),
        ("attribute", {**ATTRIBUTE, "causal": {"task": "reviews", "limit": 10**6, "draws": 1000}}, "causal.limit"),
        ("attribute", {**ATTRIBUTE, "causal": {"task": "reviews", "neurons": 99_999, "draws": 999}}, "causal.neurons"),
        ("attribute", {**ATTRIBUTE, "layers": [10**6]}, "layers.0"),
        ("attribute", {**ATTRIBUTE, "texts": {"dataset": "reviews", "indices": [10**12]}}, "texts.indices.0"),
        ("attribute", {**ATTRIBUTE, "texts": ["a b"] * 3000}, "texts"),
        ("attribute", {**ATTRIBUTE, "texts": ["a " * 90_000] * 12}, "texts"),
        ("attribute", {**ATTRIBUTE, "texts": ["a " * 90_000] * 5, "pruned": [f"a/{i}" for i in range(99)]}, "texts"),
        ("attribute", {**ATTRIBUTE, "texts": [{"text": "a " * 99_000, "words": ["a"] * 400}]}, "texts"),
        ("attribute", {**ATTRIBUTE, "texts": [{"text": "a b", "words": ["a"] * 501}]}, "texts.0.words"),
        ("attribute", {**ATTRIBUTE, "texts": [{"text": "a" * 300, "words": ["a" * 300]}]}, "texts.0.words.0"),
        ("attribute", {**ATTRIBUTE, "texts": ["a b"] * 1000, "permutations": 99_999}, "permutations"),
        ("prune", {**PRUNE, "pattern": " " * 500_000}, "pattern"),
        ("prune", {**PRUNE, "pattern": "9" * 4000 + ":4"}, "pattern"),
        ("prune", {**PRUNE, "pattern": {"kind": " " * 500_000}}, "pattern.kind"),
        (
            "prune",
            {**PRUNE, "calibration": {"dataset": "demo", "samples": 65_536, "seqlen": 128}},
            "calibration.samples",
        ),
        ("prune", {**PRUNE, "calibration": {"dataset": "demo", "samples": 65_536}}, "calibration.samples"),
        (
            "prune",
            {**PRUNE, "calibration": {"dataset": "demo", "samples": 5, "seqlen": 999_999}},
            "calibration.samples",
        ),
        ("study", {**STUDY, "calibrations": [{"dataset": "demo", "samples": 65_536}], "seqlens": [8, 128]}, None),
        ("study", {**STUDY, "seeds": [*range(99_000)]}, "seeds"),
        ("study", {**STUDY, "seeds": [*range(200_000)]}, "spec"),
        ("study", {**STUDY, "attributions": [{"texts": ["a " * 60_000]}] * 9}, "attributions"),
    ],
)
def test_too_much_is_refused_with_its_field(kind: str, document: dict[str, Any], field: str | None) -> None:
    problem = refused(kind, document)
    assert problem.document()["errors"][0]["field"] == (field or "calibrations.0.samples")
    assert len(json.dumps(problem.document())) < 10_000


@pytest.mark.parametrize("change", [{}, {"methods": ["magnitude"]}, {"attributions": [{"texts": {"dataset": "sst2"}}]}])
def test_a_grid_is_measured_before_it_is_made(change: dict[str, Any]) -> None:
    """A thousand on each of three axes: nobody could count these one by one."""
    axes = {
        "calibrations": [{"dataset": "demo", "samples": n + 1} for n in range(1000)],
        "seqlens": [*range(2, 1002)],
        "seeds": [*range(1000)],
    }
    problem = refused("study", {**STUDY, **axes, **change})
    assert "1000 x 1000 x 1000" in problem.detail and "at most 20000" in problem.detail


def test_a_grid_of_the_largest_size_is_taken_and_lists_each_value_once() -> None:
    spec = parse_spec("study", {**STUDY, "seeds": [*range(1000)], "calibrations": [{"dataset": "demo"}] * 9})
    assert isinstance(spec, StudySpec)
    assert len(spec.seeds) == 1000 and len(spec.calibrations) == 1 and len(spec.draws) == 1000


def test_lengths_of_a_study_give_its_calibration_sets_their_size() -> None:
    calibration = {"dataset": "demo", "samples": 65_536}
    spec = parse_spec("study", {**STUDY, "calibrations": [calibration], "seqlens": [8, 64]})
    assert isinstance(spec, StudySpec) and {draw.seqlen for draw in spec.draws} == {8, 64}


def test_two_thousand_short_texts_are_taken() -> None:
    spec = parse_spec("attribute", {**ATTRIBUTE, "texts": ["two words"] * 2000})
    assert isinstance(spec, AttributeSpec) and spec.count == 2000 and spec.characters == 18_000


def test_at_most_twenty_errors_are_told_and_the_others_counted() -> None:
    problem = refused("study", {**STUDY, "seeds": ["x" * 500] * 900})
    document = problem.document()
    assert len(document["errors"]) == bounds.MAX_ERRORS
    assert document["detail"].endswith("and 880 more")
    assert all(len(error["given"]) <= bounds.MAX_ECHO for error in document["errors"])


def test_long_lists_and_names_are_cut_in_what_is_said() -> None:
    known = [f"name {n}" for n in range(1000)]
    assert unknown_name("other", known).endswith("name 49 and 950 more")
    assert near_names("x" * 100_000, ["x" * 100_000]) == []
    error = refused("prune", {**PRUNE, "k" * 100_000: [[["v"] * 90_000]]}).document()["errors"][0]
    assert len(error["field"]) <= bounds.MAX_ECHO and len(error["given"]) <= bounds.MAX_ECHO
    assert len(error["message"]) <= bounds.MAX_MESSAGE
    assert bad_spec([]).detail == ""


@pytest.mark.parametrize(
    ("document", "field", "says"),
    [
        ({"kind": "prune", "spec": {"model": "\ud800"}}, "model", "half of a surrogate pair"),
        ({"spec": {"calibration": {"\ud83d": 1}}}, "calibration.\\ud83d", "half of a surrogate pair"),
        ({"spec": {"\udc00": 1}}, "\\udc00", "a field's name"),
        ({"path": "a\ud800"}, "path", "at character 1"),
        ({"a": {"b": [0, 2**63]}}, "a.b.1", "64 bits"),
        ({"a": int("9" * 4000)}, "a", "13288 bits"),
        ({"a": [0] * 100_000}, "spec", "more than 100,000 values"),
        ({"a": {1.5: 2}}, "a", "the type float"),
        ({"a": {1, 2}}, "a", "the type set"),
    ],
)
def test_the_shape_of_a_document(document: Any, field: str, says: str) -> None:
    with pytest.raises(Problem) as caught:
        check_shape(document)
    (error,) = caught.value.document()["errors"]
    assert (error["field"], caught.value.status) == (field, 422)
    assert says in error["message"]
    error["message"].encode(), str(error["given"]).encode()


@pytest.mark.parametrize(
    ("document", "field"),
    [({"texts": [{"text": "so bad\0"}]}, "texts.0.text"), ({"texts": ["é\0"]}, "texts.0"), ({"a\0": 1}, "a\0")],
)
def test_a_null_character_is_not_kept(document: Any, field: str) -> None:
    check_shape(document)
    with pytest.raises(Problem, match="holds a null character") as caught:
        check_shape(document, kept=True)
    assert caught.value.errors[0].field == field


def test_depth_is_bounded_without_recursion() -> None:
    fits: Any = 0
    for _ in range(bounds.MAX_DEPTH):
        fits = [fits]
    check_shape(fits)
    for _ in range(100_000):
        fits = [fits]
    with pytest.raises(Problem, match="more than 32 levels"):
        check_shape(fits)
    while isinstance(fits, list):  # taken apart one by one: Python would do that by recursion
        fits = fits.pop()


def test_what_is_reached_twice_counts_twice() -> None:
    """YAML's aliases: 9 lists of 9 each that are a billion values when they are written out."""
    shared: Any = ["lol"] * 9
    for _ in range(9):
        shared = [shared] * 9
    with pytest.raises(Problem, match="100,000 values"):
        check_shape(shared)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(-(2**62), 2**62),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(json_values)
def test_what_json_has_is_let_through(document: Any) -> None:
    check_shape(document)


def test_a_spec_in_brief() -> None:
    texts = {"dataset": "sst2", "indices": [*range(20)], "words": [["a"] * 20] * 20}
    spec = {"models": ["demo"] * 3, "seeds": [*range(30)], "texts": texts, "name": "n" * 5000}
    brief = brief_of(spec)
    assert brief["models"] == spec["models"] and brief["seeds"] == [*range(MAX_BRIEF_ITEMS)]
    assert brief["texts"]["words"][0] == ["a"] * MAX_BRIEF_ITEMS
    assert len(brief["name"]) == 100
    for source in (spec, brief):
        counts = [count_of(source, *path) for path in (("models",), ("seeds",), ("texts", "indices"), ("no", "such"))]
        assert counts == [3, 30, 20, 0]
    assert brief_of({"models": ["demo"]}) == {"models": ["demo"]}
