"""Specs: defaults filled in, wrong ones refused with field, what was given and what is allowed."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunescope.jobs.documents import JobKind
from prunescope.jobs.problems import Problem
from prunescope.jobs.specs import SPECS, AttributeSpec, PruneSpec, StudySpec, parse_spec

PRUNE: dict[str, Any] = {
    "model": "demo",
    "method": {"name": "wanda"},
    "pattern": {"kind": "n_m", "n": 2, "m": 4},
    "calibration": {"dataset": "c4"},
}
ATTRIBUTE: dict[str, Any] = {
    "dense": "demo",
    "pruned": ["pruned:0123456789abcdef"],
    "texts": [{"text": "The food was bad", "label": "negative", "words": ["bad"]}],
}
STUDY: dict[str, Any] = {
    "models": ["demo"],
    "methods": [{"name": "wanda"}],
    "patterns": [{"kind": "unstructured", "sparsity": 0.5}],
    "calibrations": [{"dataset": "demo"}],
    "tasks": ["reviews"],
}


RANGES = [{"name": "owl", "range": n / 100} for n in range(20)]


def refused(kind: str, document: Any) -> list[dict[str, Any]]:
    with pytest.raises(Problem) as problem:
        parse_spec(kind, document)
    assert problem.value.status == 422
    assert "\n" not in str(problem.value)
    errors: list[dict[str, Any]] = problem.value.document()["errors"]
    return errors


def test_a_prune_spec_with_its_defaults() -> None:
    assert parse_spec("prune", PRUNE).model_dump(mode="json") == {
        "model": "demo",
        "method": {"name": "wanda"},
        "pattern": {"kind": "n_m", "n": 2, "m": 4},
        "allocation": {"name": "uniform"},
        "calibration": {
            "dataset": "c4",
            "file": None,
            "mode": None,
            "samples": 128,
            "seqlen": None,
            "seed": 0,
            "bos": "auto",
        },
    }


@pytest.mark.parametrize(
    "change",
    [
        {"method": "wanda"},
        {"pattern": "2:4"},
        {"pattern": {"n": 2, "m": 4}},
        {"calibration": {"dataset": "c4", "samples": 128, "seed": 0}},
        {"model": " demo "},
        {"allocation": "uniform"},
    ],
)
def test_other_ways_to_write_the_same(change: dict[str, Any]) -> None:
    assert parse_spec("prune", {**PRUNE, **change}) == parse_spec("prune", PRUNE)


@pytest.mark.parametrize("pattern", [0.5, "0.5", {"sparsity": 0.5}, {"kind": "unstructured", "sparsity": 0.5}])
def test_ways_to_write_a_sparsity(pattern: object) -> None:
    spec = parse_spec("prune", {**PRUNE, "pattern": pattern})
    assert isinstance(spec, PruneSpec) and str(spec.pattern) == "0.5"


def test_magnitude_asks_for_no_calibration_and_ignores_one() -> None:
    without = {"model": "demo", "method": "magnitude", "pattern": 0.5}
    assert parse_spec("prune", without) == parse_spec("prune", {**without, "calibration": {"dataset": "c4", "seed": 7}})


def test_options_of_methods_and_allocations() -> None:
    spec = parse_spec("prune", {**PRUNE, "method": {"name": "ria", "permutation": "assignment"}})
    assert isinstance(spec, PruneSpec)
    assert spec.method.model_dump() == {
        "name": "ria",
        "exponent": 0.5,
        "within": "matrix",
        "permutation": "assignment",
        "subgroups": 1,
    }
    spec = parse_spec("prune", {**PRUNE, "pattern": 0.5, "method": "sparsegpt", "allocation": "owl"})
    assert isinstance(spec, PruneSpec)
    assert spec.method.model_dump() == {"name": "sparsegpt", "damping": 0.01, "block_columns": 128}
    assert spec.allocation.model_dump() == {"name": "owl", "outlier": 5.0, "range": 0.08}


def test_an_allocation_that_looks_at_text_keeps_the_calibration_of_any_method() -> None:
    document = {**PRUNE, "method": "magnitude", "pattern": 0.5, "allocation": {"name": "owl", "range": 0.1}}
    spec = parse_spec("prune", document)
    assert isinstance(spec, PruneSpec) and spec.calibration is not None
    assert spec.label == "magnitude · c4 128 windows · 0.5 · owl (range=0.1)"
    (error,) = refused("prune", {**document, "calibration": None})
    assert error["field"] == "calibration" and error["message"] == "owl needs a calibration set"


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({}, "wanda · c4 128 windows · 2:4"),
        ({"method": "magnitude", "pattern": 0.5}, "magnitude · 0.5"),
        ({"calibration": {"dataset": "c4", "seqlen": 2048}}, "wanda · c4 128x2048 · 2:4"),
        ({"calibration": {"dataset": "c4", "seqlen": 2048, "seed": 3}}, "wanda · c4 128x2048 seed 3 · 2:4"),
        (
            {"calibration": {"dataset": "rte", "mode": "single", "samples": 8}},
            "wanda · rte single 8 windows · 2:4",
        ),
        ({"calibration": {"file": "a/windows.safetensors"}}, "wanda · windows.safetensors · 2:4"),
        ({"method": {"name": "sparsegpt", "damping": 0.02}}, "sparsegpt (damping=0.02) · c4 128 windows · 2:4"),
    ],
)
def test_labels(change: dict[str, Any], label: str) -> None:
    spec = parse_spec("prune", {**PRUNE, **change})
    assert isinstance(spec, PruneSpec) and spec.label == label


def test_windows_of_ids_are_taken_as_they_are() -> None:
    spec = parse_spec("prune", {**PRUNE, "calibration": {"file": "windows.safetensors"}})
    assert isinstance(spec, PruneSpec) and spec.calibration is not None and spec.calibration.samples is None


@pytest.mark.parametrize(
    ("source", "mode", "name"),
    [
        ({"dataset": "rte"}, "concat", "rte"),
        ({"dataset": "rte", "mode": "single"}, "single", "rte single"),
        ({"dataset": "demo", "mode": None}, "concat", "demo"),
        ({"file": "texts/mine.jsonl", "mode": "single"}, "single", "mine.jsonl single"),
        ({"dataset": "wikitext2"}, None, "wikitext2"),
        ({"file": "mine.txt"}, None, "mine.txt"),
        ({"file": "windows.safetensors"}, None, "windows.safetensors"),
    ],
)
def test_sets_of_examples_have_a_mode(source: dict[str, Any], mode: str | None, name: str) -> None:
    spec = parse_spec("prune", {**PRUNE, "calibration": source})
    assert isinstance(spec, PruneSpec) and spec.calibration is not None
    assert (spec.calibration.mode, str(spec.calibration)) == (mode, name)
    assert parse_spec("prune", spec.model_dump(mode="json")) == spec


def test_words_are_manual_where_the_texts_carry_them() -> None:
    def source(change: dict[str, Any]) -> tuple[str, str]:
        spec = parse_spec("attribute", {**ATTRIBUTE, **change})
        assert isinstance(spec, AttributeSpec)
        return spec.words.source, spec.prompt

    assert source({}) == ("manual", "none")
    assert source({"texts": ["The food was bad"]}) == ("auto", "none")
    assert source({"texts": {"dataset": "reviews"}}) == ("manual", "reviews")
    assert source({"texts": {"dataset": "sst2"}, "prompt": "none"}) == ("auto", "none")
    assert source({"texts": {"dataset": "reviews", "indices": [3, 1]}}) == ("manual", "reviews")
    assert source({"texts": {"dataset": "sst2", "indices": [3, 1]}}) == ("auto", "sst2")
    assert source({"words": "occlusion", "prompt": "yelp"}) == ("occlusion", "yelp")
    assert source({"texts": {"dataset": "rte"}, "words": "occlusion"}) == ("occlusion", "rte")
    assert source({"texts": {"dataset": "rte"}, "prompt": "yelp"}) == ("auto", "yelp")
    assert source({"texts": {"dataset": "paws"}}) == ("auto", "paws")


def test_layers_are_a_set() -> None:
    spec = parse_spec("attribute", {**ATTRIBUTE, "layers": [3, 1, 3]})
    assert isinstance(spec, AttributeSpec) and spec.layers == (1, 3)


@pytest.mark.parametrize(
    ("kind", "change", "field", "given", "says"),
    [
        ("prune", {"method": {"name": "wandaa"}}, "method.name", "wandaa", "did you mean 'wanda'"),
        ("prune", {"method": {"name": "wanda", "alpha": 1}}, "method.alpha", 1, "unknown field"),
        ("prune", {"method": {}}, "method.name", None, "is needed"),
        ("prune", {"method": 3}, "method", 3, "is not allowed"),
        ("prune", {"method": {"name": "ria", "within": "rows"}}, "method.within", "rows", "'matrix' or 'row'"),
        ("prune", {"method": {"name": "sparsegpt", "damping": 0}}, "method.damping", 0, "greater than 0"),
        (
            "prune",
            {"method": {"name": "sparsegpt", "block": 64}},
            "method.block",
            64,
            "known: name, damping, block",
        ),
        ("prune", {"allocation": "bowl"}, "allocation.name", "bowl", "did you mean 'owl'"),
        ("prune", {"allocation": "owl"}, "allocation", "owl", "2:4 is the same share everywhere"),
        ("prune", {"allocation": {"name": "owl", "range": 2}}, "allocation.range", 2, "less than or equal to 0.5"),
        ("prune", {"pattern": {"sparsity": 1.5}}, "pattern.sparsity", 1.5, "[0, 1)"),
        ("prune", {"pattern": {"sparsity": float("nan")}}, "pattern.sparsity", None, "[0, 1)"),
        ("prune", {"pattern": {"n": 5, "m": 4}}, "pattern", "5:4", "n must be smaller than m"),
        ("prune", {"pattern": "4:4"}, "pattern", "4:4", "n must be smaller than m"),
        ("prune", {"pattern": "0:4"}, "pattern", "0:4", "greater than or equal to 1"),
        ("prune", {"pattern": "half"}, "pattern", "half", "valid number"),
        ("prune", {"pattern": {"kind": "nm"}}, "pattern.kind", "nm", "did you mean 'n_m'"),
        ("prune", {"calibration": {"dataset": "c44"}}, "calibration.dataset", "c44", "did you mean 'c4'"),
        ("prune", {"calibration": {"dataset": "c4", "file": "a.txt"}}, "calibration", None, "either"),
        ("prune", {"calibration": {"file": "a.csv"}}, "calibration.file", "a.csv", ".jsonl"),
        ("prune", {"calibration": {"dataset": "c4", "samples": 0}}, "calibration.samples", 0, "greater than"),
        (
            "prune",
            {"calibration": {"dataset": "c4", "mode": "single"}},
            "calibration.mode",
            "single",
            "c4 is not a set",
        ),
        ("prune", {"calibration": {"file": "a.txt", "mode": "concat"}}, "calibration.mode", "concat", "a.txt is not a"),
        (
            "prune",
            {"calibration": {"dataset": "rte", "mode": "one"}},
            "calibration.mode",
            "one",
            "'concat' or 'single'",
        ),
        ("prune", {"modle": "demo"}, "modle", "demo", "did you mean 'model'"),
        ("evaluate", {"model": "demo", "tasks": ["sst3"]}, "tasks.0", "sst3", "did you mean 'sst2'"),
        ("evaluate", {"model": "demo", "tasks": []}, "tasks", "[]", "at least one task, or perplexity"),
        (
            "evaluate",
            {"model": "demo", "perplexity": ["ptb", "wikitext"]},
            "perplexity.1",
            "wikitext",
            "did you mean 'wikitext2'",
        ),
        ("evaluate", {"model": "demo", "perplexity": ["ptb", "ptb"]}, "perplexity", None, "twice"),
        ("evaluate", {"model": "demo", "perplexity": {"datasets": []}}, "perplexity.datasets", "[]", "at least 1"),
        (
            "evaluate",
            {"model": "demo", "perplexity": {"datasets": ["ptb"], "seqlen": 1}},
            "perplexity.seqlen",
            1,
            "greater than or equal to 2",
        ),
        ("evaluate", {"model": "demo", "tasks": ["sst2", "sst2"]}, "tasks", None, "twice"),
        ("attribute", {"texts": [{"text": "  "}]}, "texts.0.text", "  ", "the text is empty"),
        ("attribute", {"texts": []}, "texts", "[]", "no text was given"),
        ("attribute", {"texts": "text"}, "texts", "text", "list of texts"),
        ("attribute", {"texts": [{"text": "badly", "words": ["bad"]}]}, "texts.0.words.0", "bad", "not in the text"),
        ("attribute", {"texts": [{"text": "a", "words": ["a"]}, {"text": "b"}]}, "texts.1.words", None, "has no words"),
        (
            "attribute",
            {"texts": {"dataset": "sst2"}, "words": "manual"},
            "words.source",
            "manual",
            "auto or cot or cot-free or occlusion or gradient",
        ),
        ("attribute", {"texts": {"dataset": "sst"}}, "texts.dataset", "sst", "did you mean 'sst2'"),
        ("attribute", {"texts": {"dataset": "sst", "indices": [0]}}, "texts.dataset", "sst", "did you mean 'sst2'"),
        ("attribute", {"texts": {"dataset": "sst2", "indices": []}}, "texts.indices", "[]", "at least 1"),
        ("attribute", {"texts": {"dataset": "sst2", "indices": [2, -1]}}, "texts.indices.1", -1, "greater than"),
        ("attribute", {"texts": {"dataset": "sst2", "indices": [2, 0, 2]}}, "texts.indices.2", 2, "row 2 is named"),
        ("attribute", {"texts": {"dataset": "sst2", "indices": [0], "seed": 1}}, "texts.seed", 1, "known: dataset"),
        (
            "attribute",
            {"texts": {"dataset": "sst2", "count": 2, "words": [["bad"]]}},
            "texts.words",
            1,
            "for 1 of 2 rows",
        ),
        ("attribute", {"texts": {"dataset": "sst2", "indices": [4], "words": [[]]}}, "texts.words", "[]", "no row has"),
        (
            "attribute",
            {"texts": [{"text": "a", "words": []}], "words": "manual"},
            "texts.0.words",
            None,
            "has no words",
        ),
        ("attribute", {"floor": 1}, "floor", 1, "less than 1"),
        ("attribute", {"special_tokens": "some"}, "special_tokens", "some", "true or false"),
        ("attribute", {"words": {"source": "guess"}}, "words.source", "guess", "known: auto, manual"),
        ("attribute", {"prompt": "sst1"}, "prompt", "sst1", "did you mean 'sst2'"),
        ("attribute", {"prompt": "rte"}, "prompt", "rte", "cannot be used for other texts"),
        (
            "attribute",
            {"texts": {"dataset": "sst2"}, "prompt": "rte"},
            "prompt",
            "rte",
            "cannot be used for other texts",
        ),
        (
            "attribute",
            {"texts": {"dataset": "paws"}, "words": "gradient"},
            "words.source",
            "gradient",
            "use auto or cot",
        ),
        ("attribute", {"causal": "sst"}, "causal", "sst", "did you mean 'sst2'"),
        ("attribute", {"causal": {}}, "causal.task", None, "is needed"),
        ("attribute", {"causal": {"task": "sst2", "draws": 1}}, "causal.draws", 1, "greater than or equal to 2"),
        ("attribute", {"causal": {"task": "sst2", "limit": 0}}, "causal.limit", 0, "greater than or equal to 1"),
        ("attribute", {"causal": {"task": "sst2", "layers": []}}, "causal.layers", "[]", "leave the field out"),
        (
            "attribute",
            {"causal": {"task": "sst2", "layers": [3]}, "layers": [0, 1]},
            "causal.layers",
            3,
            "layer 3 is not",
        ),
        ("attribute", {"causal": {"task": "sst2", "rows": 5}}, "causal.rows", 5, "known: task"),
        ("attribute", {"activation": "gelu"}, "activation", "gelu", "'relu'"),
        ("attribute", {"layers": []}, "layers", "[]", "leave the field out"),
        ("attribute", {"layers": [-1]}, "layers.0", -1, "greater than or equal to 0"),
        ("attribute", {"pruned": ["demo"]}, "pruned.0", "demo", "is the dense model already"),
        ("attribute", {"pruned": ["a/b", "a/b"]}, "pruned.1", "a/b", "an earlier variant"),
        ("study", {"patterns": []}, "patterns", "[]", "methods are given"),
        ("study", {"calibrations": []}, "calibrations", "[]", "wanda needs a calibration set"),
        ("study", {"methods": [], "tasks": []}, "tasks", "[]", "measures its models on tasks"),
        ("study", {"patterns": [0.5, 1.5]}, "patterns.1", 1.5, "[0, 1)"),
        ("study", {"attributions": [{"texts": ["a"], "dense": "dem"}]}, "attributions.0.dense", "dem", "'demo'"),
        ("study", {"methods": [], "attributions": [{"texts": ["a"]}]}, "methods", "[]", "pruned ones"),
        ("study", {"seeds": list(range(30_000))}, "seeds", None, "takes at most 1000"),
        ("study", {"seeds": list(range(1000)), "patterns": [n / 100 for n in range(90)]}, "spec", None, "180001 cells"),
        (
            "study",
            {"attributions": [{"texts": ["a"], "methods": ["wnda"]}]},
            "attributions.0.methods",
            "wnda",
            "'wanda'",
        ),
        (
            "study",
            {"attributions": [{"texts": ["a"], "patterns": [0.7]}]},
            "attributions.0.patterns",
            "0.7",
            "Known: 0.5",
        ),
        (
            "study",
            {"attributions": [{"texts": ["a"], "calibrations": ["c4"]}]},
            "attributions.0.calibrations",
            "c4",
            "demo",
        ),
        ("study", {"attributions": [{"texts": ["a"], "seqlens": [9]}]}, "attributions.0.seqlens", "9", "not known"),
        ("study", {"seeds": list(range(300)), "attributions": [{"texts": ["a"]}]}, "attributions.0", None, "1 to 256"),
        (
            "study",
            {
                "patterns": [0.5, "2:4"],
                "allocations": ["owl"],
                "attributions": [{"texts": ["a"], "patterns": ["2:4"]}],
            },
            "attributions.0",
            None,
            "0 of each model",
        ),
        (
            "study",
            {"patterns": [n / 1000 for n in range(900)], "methods": ["wanda", "ria"] * 9, "allocations": RANGES},
            "spec",
            None,
            "2 x 900 x 20",
        ),
        ("study", {"allocations": ["owl"], "patterns": ["2:4", "1:4"]}, "allocations", "owl", "2:4, 1:4 is the same"),
        ("study", {"allocations": ["uniform", "bowl"]}, "allocations.1.name", "bowl", "did you mean 'owl'"),
        (
            "study",
            {"methods": ["magnitude"], "allocations": ["owl"], "calibrations": []},
            "calibrations",
            "[]",
            "owl needs",
        ),
        ("study", {"seqlens": [1]}, "seqlens.0", 1, "greater than or equal to 2"),
        (
            "study",
            {"seqlens": [64], "calibrations": [{"dataset": "c4"}, {"dataset": "demo", "seqlen": 128}]},
            "calibrations.1.seqlen",
            128,
            "demo has a seqlen of its own",
        ),
        ("study", {"attributions": ["reviews"]}, "attributions.0", "reviews", "valid dictionary"),
        ("study", {"models": "demo"}, "models", "demo", "valid tuple"),
        ("prunes", {}, "kind", "prunes", "did you mean 'prune'"),
    ],
)
def test_what_is_wrong_is_said(kind: str, change: dict[str, Any], field: str, given: object, says: str) -> None:
    whole = {"prune": PRUNE, "attribute": ATTRIBUTE, "study": STUDY}.get(kind, {})
    (error,) = refused(kind, {**whole, **change})
    assert error["field"] == field
    assert given is None or error["given"] == given
    assert says in error["message"]


@pytest.mark.parametrize(
    ("kind", "change", "field", "allowed"),
    [
        ("prune", {"calibration": {"dataset": "c4", "samples": True}}, "calibration.samples", "a number"),
        ("prune", {"pattern": {"kind": "n_m", "n": True, "m": 4}}, "pattern.n", "a number"),
        ("prune", {"pattern": {"kind": "unstructured", "sparsity": False}}, "pattern.sparsity", "a number"),
        ("attribute", {"layers": [0, True]}, "layers", "a number"),
        ("attribute", {"permutations": False}, "permutations", "a number"),
        ("attribute", {"special_tokens": "yes"}, "special_tokens", "true or false"),
        ("attribute", {"special_tokens": 1}, "special_tokens", "true or false"),
        ("study", {"seeds": [True]}, "seeds", "a number"),
        ("study", {"limit": True}, "limit", "a number"),
    ],
)
def test_truth_is_no_number_and_no_number_is_truth(kind: str, change: dict[str, Any], field: str, allowed: str) -> None:
    document = {**{"prune": PRUNE, "attribute": ATTRIBUTE, "study": STUDY}[kind], **change}
    (error,) = refused(kind, document)
    assert (error["field"], error["allowed"]) == (field, allowed)


def test_every_wrong_field_is_named_at_once() -> None:
    document = {**PRUNE, "method": {"name": "w"}, "pattern": {"sparsity": 2}, "calibration": {"dataset": "x"}}
    assert [error["field"] for error in refused("prune", document)] == [
        "method.name",
        "pattern.sparsity",
        "calibration.dataset",
    ]


def test_ways_to_write_that_layers_lose_the_same() -> None:
    for allocations in ([], ["uniform"], [{"name": "uniform"}], ["uniform", "uniform"]):
        assert parse_spec("study", {**STUDY, "allocations": allocations}) == parse_spec("study", STUDY)


def test_a_spec_is_an_object() -> None:
    assert refused("prune", ["demo"])[0]["field"] == "spec"


def test_long_values_are_not_echoed_whole() -> None:
    (error,) = refused("evaluate", {"model": "demo", "tasks": ["x" * 5000]})
    assert len(error["given"]) <= 200


@pytest.mark.parametrize("document", [PRUNE, {**PRUNE, "pattern": 0.5}])
def test_a_spec_read_back_is_the_same(document: dict[str, Any]) -> None:
    spec = parse_spec("prune", document)
    assert parse_spec("prune", spec.model_dump(mode="json")) == spec


def test_canonical_forms_of_all_kinds_read_back() -> None:
    for kind, document in {
        "attribute": {**ATTRIBUTE, "texts": {"dataset": "reviews", "indices": [4, 2]}},
        "study": {**STUDY, "attributions": [{"texts": {"dataset": "reviews"}}], "seeds": [0, 1]},
        "evaluate": {"model": "a/b@main", "tasks": ["sst2"], "limit": 3},
    }.items():
        spec = parse_spec(kind, document)
        assert parse_spec(kind, spec.model_dump(mode="json")) == spec


def test_every_kind_has_a_schema_for_the_api() -> None:
    assert set(SPECS) == set(JobKind)
    for model in SPECS.values():
        assert model.model_json_schema()["additionalProperties"] is False


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    kind=st.sampled_from(["prune", "evaluate", "attribute", "study"]),
    change=st.dictionaries(
        st.sampled_from(["model", "method", "pattern", "calibration", "tasks", "texts", "words", "models", "layers"]),
        json_values,
    ),
)
def test_whatever_is_sent_gives_a_spec_or_a_problem(kind: str, change: dict[str, Any]) -> None:
    whole = {"prune": PRUNE, "attribute": ATTRIBUTE, "study": STUDY, "evaluate": {"model": "demo", "tasks": ["sst2"]}}
    try:
        parse_spec(kind, {**whole[kind], **change})
    except Problem as problem:
        assert problem.document()["errors"]


def test_an_evaluation_may_be_of_perplexity_alone() -> None:
    short = parse_spec("evaluate", {"model": "demo", "perplexity": ["wikitext2", "own.txt"]})
    whole = {"datasets": ["wikitext2", "own.txt"], "seqlen": None, "windows": None, "bos": "auto"}
    assert short == parse_spec("evaluate", {"model": "demo", "tasks": [], "perplexity": whole})
    assert short.model_dump(mode="json")["perplexity"] == whole
    study = parse_spec("study", {"models": ["demo"], "perplexity": {"datasets": ["c4"], "windows": 8}})
    assert isinstance(study, StudySpec) and study.measured


def test_words_chosen_by_hand_for_rows_of_a_task() -> None:
    texts = {"dataset": "sst2", "count": 2, "seed": 3}
    given = parse_spec("attribute", {"dense": "demo", "pruned": ["a/b"], "texts": {**texts, "words": [["bad"], []]}})
    assert isinstance(given, AttributeSpec)
    assert given.words.source == "manual" and given.prompt == "sst2"
    assert given.model_dump(mode="json")["texts"] == {**texts, "words": [["bad"], []]}
    plain = parse_spec("attribute", {"dense": "demo", "pruned": ["a/b"], "texts": texts})
    assert plain.model_dump(mode="json")["texts"] == texts, "an old spec keeps its fingerprint"


def test_a_given_text_may_have_no_word_where_another_has_some() -> None:
    texts = [{"text": "a bad room", "words": ["bad"]}, {"text": "so so", "words": []}]
    spec = parse_spec("attribute", {"dense": "demo", "pruned": ["a/b"], "texts": texts})
    assert isinstance(spec, AttributeSpec) and spec.words.source == "manual"


def test_a_causal_stage_is_asked_for_by_its_task_alone() -> None:
    spec = parse_spec("attribute", {**ATTRIBUTE, "causal": "sst2"})
    assert isinstance(spec, AttributeSpec) and spec.causal is not None
    assert (spec.causal.task, spec.causal.limit, spec.causal.draws, spec.causal.neurons) == ("sst2", 200, 20, None)
    layers = parse_spec("attribute", {**ATTRIBUTE, "causal": {"task": "sst2", "layers": [2, 0, 2]}})
    assert isinstance(layers, AttributeSpec) and layers.causal is not None and layers.causal.layers == (0, 2)


def test_an_attribution_without_a_causal_stage_is_the_one_that_it_always_was() -> None:
    spec = parse_spec("attribute", {**ATTRIBUTE, "causal": None})
    assert "causal" not in spec.model_dump(mode="json")


def test_bos_is_one_of_three_and_part_of_what_a_calibration_is_called() -> None:
    base = {"model": "demo", "method": "wanda", "pattern": "0.5"}

    def label(**calibration: object) -> str:
        spec = parse_spec("prune", {**base, "calibration": {"dataset": "rte", **calibration}})
        assert isinstance(spec, PruneSpec)
        return spec.label

    assert label() == label(bos="auto") == "wanda · rte 128 windows · 0.5"
    assert label(bos="never", mode="single") == "wanda · rte single without BOS 128 windows · 0.5"
    assert label(bos="always") == "wanda · rte with BOS 128 windows · 0.5"
    with pytest.raises(Problem) as caught:
        label(bos="sometimes")
    assert caught.value.errors[0].field == "calibration.bos"
    with pytest.raises(Problem) as caught:
        parse_spec("prune", {**base, "calibration": {"file": "ids.safetensors", "bos": "always"}})
    assert caught.value.errors[0].field == "calibration.bos" and "used unchanged" in str(caught.value)
    with pytest.raises(Problem) as caught:
        parse_spec("evaluate", {"model": "demo", "perplexity": {"datasets": ["c4"], "bos": True}})
    assert caught.value.errors[0].field == "perplexity.bos"
