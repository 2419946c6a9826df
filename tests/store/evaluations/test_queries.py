"""Measurements, outcomes and pairings beside the records of evaluations, on both databases."""

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from scipy.stats import binomtest, ttest_rel
from sqlalchemy import select
from sqlalchemy import text as sql

from prunescope.jobs.problems import Problem
from prunescope.jobs.vocabulary import PERPLEXITY_SETS, TASKS
from prunescope.store.database import Database
from prunescope.store.evaluations.outcomes import text_key
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.evaluations.values import Pairing
from prunescope.store.submission import Stores
from prunescope.store.tables import measurements, outcomes, pairings
from tests.store.test_database import downgrade

MODEL, AGAIN, DENSE, PRUNED = "1" * 16, "2" * 16, "d" * 16, "e" * 16
RIGHT = [True, True, True, True, False, False]
NOW = [True, False, False, False, True, False]


def keep_model(stores: Stores, name: str, base: str) -> None:
    stores.results.add("model", name, job=None, spec={"model": base}, summary={"label": name})


def result(right: Sequence[bool], **change: Any) -> dict[str, Any]:
    accuracy = sum(right) / len(right)
    interval = [max(0.0, accuracy - 0.3), min(1.0, accuracy + 0.3)]
    fixed = {"chance": 0.5, "majority": 0.6, "version": "1", "prompt_hash": "abc"}
    return {"accuracy": accuracy, "rows": len(right), "interval": interval, **fixed, **change}


def examples_of(right: Sequence[bool], text: str = "row") -> list[dict[str, Any]]:
    asked = {"choices": ["no", "yes"], "answer": 0}
    rows = [{"index": i, "text": text, **asked, "chosen": 0 if r else 1} for i, r in enumerate(right)]
    return [{**row, "scores": [-1.0 - row["chosen"], -2.0 + row["chosen"]]} for row in rows]


def evaluate(stores: Stores, name: str, model: str, right: Sequence[bool], text: str = "row", **change: Any) -> None:
    found = {**result(right, **change), "examples": examples_of(right, text)}
    spec = {"model": model, "tasks": ["sst2"]}
    stores.results.add_evaluation(name, job=None, spec=spec, document={"tasks": {"sst2": found}})


def paired(stores: Stores, evaluation: str = PRUNED) -> Pairing | None:
    return Measurements(stores.database).pairings_of([evaluation]).get((evaluation, "sst2"))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_follows_every_change(stores: Stores, seed: int) -> None:
    """Values are those of the evaluations that are there, pairings those of pruned ones beside dense ones."""
    draw = random.Random(seed)
    keep_model(stores, MODEL, "demo")
    models = {DENSE: "demo", "c" * 16: "demo", PRUNED: f"pruned:{MODEL}", AGAIN: "other"}
    there: dict[str, list[bool]] = {}
    for _ in range(12):
        name = draw.choice([*models])
        if name in there and draw.random() < 0.4:
            with stores.artefacts.staging("evaluation", name):
                pass
            stores.results.delete("evaluation", name)
            del there[name]
        else:
            there[name] = [draw.random() < 0.5 for _ in range(6)]
            evaluate(stores, name, models[name], there[name], chance=draw.choice([0.5, None]))
        reader = Measurements(stores.database)
        values = {id: found.value for (id, _), found in reader.values_of(models).items()}
        assert values == {id: sum(right) / 6 for id, right in there.items()}
        beside = [id for id in there if models[id] == "demo"] if PRUNED in there else []
        with stores.database.reading() as connection:
            kept = connection.execute(select(pairings.c.evaluation, pairings.c.dense_evaluation)).all()
        assert sorted(map(tuple, kept)) == sorted((PRUNED, id) for id in beside)
        if (found := paired(stores)) is not None:
            wrong = sum(was and not now for was, now in zip(there[found.dense_evaluation], there[PRUNED], strict=True))
            assert found.newly_wrong == wrong


@pytest.mark.parametrize("dense_first", [True, False])
def test_the_later_of_two_evaluations_is_paired_with_the_earlier(stores: Stores, dense_first: bool) -> None:
    keep_model(stores, MODEL, "demo")
    first, *rest = [(DENSE, "demo", RIGHT), (PRUNED, f"pruned:{MODEL}", NOW)][:: 1 if dense_first else -1]
    evaluate(stores, *first)
    assert paired(stores) is None
    for each in rest:
        evaluate(stores, *each)
    pair = paired(stores)
    assert pair is not None and pair.dense_evaluation == DENSE
    counts = (pair.rows, pair.both_right, pair.newly_wrong, pair.newly_right, pair.both_wrong)
    assert counts == (6, 1, 3, 1, 1)
    assert pair.difference == pytest.approx(2 / 6 - 4 / 6)
    assert pair.interval[0] < pair.difference < pair.interval[1]
    assert pair.p == pytest.approx(binomtest(1, 4).pvalue)
    assert paired(stores, DENSE) is None


@pytest.mark.parametrize("change", [{"text": "another row"}, {"version": "2"}, {"prompt_hash": "def"}])
def test_only_the_same_rows_asked_in_the_same_way_are_paired(stores: Stores, change: dict[str, Any]) -> None:
    keep_model(stores, MODEL, "demo")
    evaluate(stores, DENSE, "demo", RIGHT)
    evaluate(stores, PRUNED, f"pruned:{MODEL}", NOW, **change)
    assert paired(stores) is None


def test_only_the_dense_model_that_it_was_made_from(stores: Stores) -> None:
    keep_model(stores, MODEL, "demo")
    keep_model(stores, AGAIN, f"pruned:{MODEL}")
    evaluate(stores, DENSE, "other", RIGHT)
    evaluate(stores, PRUNED, f"pruned:{AGAIN}", NOW)
    assert paired(stores) is None
    evaluate(stores, "c" * 16, "demo", RIGHT)
    pair = paired(stores)
    assert pair is not None and pair.dense_evaluation == "c" * 16, "what was pruned twice was dense once"
    evaluate(stores, "b" * 16, "pruned:" + "9" * 16, NOW)
    assert paired(stores, "b" * 16) is None, "nobody knows what that model was made from"


def test_a_replaced_evaluation_is_paired_anew_and_a_removed_one_leaves_nothing(stores: Stores) -> None:
    keep_model(stores, MODEL, "demo")
    evaluate(stores, DENSE, "demo", RIGHT)
    evaluate(stores, PRUNED, f"pruned:{MODEL}", NOW)
    evaluate(stores, DENSE, "demo", NOW)
    pair = paired(stores)
    assert pair is not None and (pair.newly_wrong, pair.newly_right, pair.p) == (0, 0, 1.0)
    evaluate(stores, DENSE, "demo", RIGHT)
    again = paired(stores)
    assert again is not None and again.newly_wrong == 3
    with stores.artefacts.staging("evaluation", DENSE):
        pass
    stores.results.delete("evaluation", DENSE)
    assert paired(stores) is None
    with stores.database.reading() as connection:
        assert [*connection.execute(select(pairings))] == []
        assert {row.evaluation for row in connection.execute(select(measurements))} == {PRUNED}
        assert [row.evaluation for row in connection.execute(select(outcomes))] == [PRUNED]


def test_of_several_dense_evaluations_on_the_same_rows_the_newest_counts(stores: Stores) -> None:
    keep_model(stores, MODEL, "demo")
    evaluate(stores, PRUNED, f"pruned:{MODEL}", NOW)
    for name in (DENSE, "a" * 16):
        evaluate(stores, name, "demo", RIGHT)
    pair = paired(stores)
    assert pair is not None and pair.dense_evaluation == "a" * 16


def test_a_value_that_is_missing_is_refused(stores: Stores) -> None:
    document = {"tasks": {"sst2": {**result(RIGHT), "accuracy": None}}}
    with pytest.raises(TypeError):
        stores.results.add_evaluation(DENSE, job=None, spec={"model": "demo"}, document=document)
    assert not stores.results.exists("evaluation", DENSE)


def test_outcomes_of_a_deleted_evaluation_are_not_kept(stores: Stores) -> None:
    document = {"tasks": {"sst2": {**result(NOW), "examples": examples_of(NOW)}}}
    with pytest.raises(Problem, match=DENSE):
        stores.results.add_outcomes(DENSE, document)
    with stores.database.reading() as connection:
        assert connection.execute(select(outcomes)).all() == []


def test_without_outcomes_there_are_accuracies_and_no_pairing(stores: Stores) -> None:
    keep_model(stores, MODEL, "demo")
    evaluate(stores, DENSE, "demo", RIGHT)
    spec = {"model": f"pruned:{MODEL}", "tasks": ["sst2"]}
    stores.results.add_evaluation(PRUNED, job=None, spec=spec, document={"tasks": {"sst2": result(NOW)}})
    assert paired(stores) is None
    assert Measurements(stores.database).without_outcomes() == [PRUNED]
    assert not stores.results.add_outcomes(PRUNED, {"tasks": {"sst2": result(NOW)}})
    for _ in range(2):  # two workers that start together
        stores.results.add_outcomes(PRUNED, {"tasks": {"sst2": {**result(NOW), "examples": examples_of(NOW)}}})
        found = paired(stores)
        assert found is not None and found.newly_wrong == 3
    assert Measurements(stores.database).without_outcomes() == []


def test_evaluations_of_the_first_version_get_their_measurements(database: Database, stores: Stores) -> None:
    """The migrations take them out of the records."""
    keep_model(stores, MODEL, "demo")
    keep_model(stores, AGAIN, f"pruned:{MODEL}")
    evaluate(stores, DENSE, "demo", RIGHT)
    evaluate(stores, PRUNED, f"pruned:{AGAIN}", NOW)
    unknown = {"model": "pruned:" + "9" * 16}
    stores.results.add_evaluation("f" * 16, job=None, spec=unknown, document={"tasks": {}})
    reader = Measurements(database)
    before, summaries = reader.values_of([DENSE, PRUNED]), stores.results.many("evaluation", [DENSE, PRUNED])
    downgrade(database, "0001")
    database.migrate()
    assert reader.values_of([DENSE, PRUNED]) == before
    assert stores.results.many("evaluation", [DENSE, PRUNED]) == summaries
    assert reader.without_outcomes() == [DENSE, PRUNED]


def test_the_released_schema_holds_the_same(database: Database, stores: Stores) -> None:
    """0.1.0 held a measurement in a row, in its record's summary and packed: all of it comes over, and goes back."""
    keep_model(stores, MODEL, "demo")
    path = "/" + "deep/" * 30 + "text.txt"
    for name, model, right, nlls in ((DENSE, "demo", RIGHT, BEFORE), (PRUNED, f"pruned:{MODEL}", NOW, AFTER)):
        tasks = {"sst2": {**result(right, majority=None), "examples": examples_of(right)}}
        document = {"tasks": tasks, "perplexity": {"ptb": text(nlls), path: text(nlls)}}
        spec = {"model": model, "tasks": ["sst2"], "perplexity": {"datasets": ["ptb", path]}}
        stores.results.add_evaluation(name, job=None, spec=spec, document=document)
    reader = Measurements(database)

    def kept() -> list[Any]:
        with database.reading() as connection:
            answered = connection.execute(select(outcomes).order_by(outcomes.c.evaluation, outcomes.c.task)).all()
        names = [DENSE, PRUNED]
        return [answered, reader.values_of(names), reader.pairings_of(names), stores.results.many("evaluation", names)]

    before = kept()
    assert len(before[1]) == 6 and len(before[2]) == 3
    downgrade(database, "0005")
    with database.reading() as connection:
        summary = connection.execute(
            select(sql("summary")).select_from(sql("records")).where(sql(f"id = '{PRUNED}'"))
        ).scalar_one()
        rows = connection.execute(sql("SELECT task, value, base, protocol, rows FROM measurements ORDER BY task")).all()
        counts = connection.execute(sql("SELECT count(*) FROM packed")).scalar_one()
    found = json.loads(summary) if isinstance(summary, str) else summary
    assert found["tasks"]["sst2"]["accuracy"] == sum(NOW) / 6 and found["tasks"]["sst2"]["interval"] is not None
    assert found["perplexity"][path]["tokens"] == 31 * 4
    assert len(rows) == 6 and counts == 2 * 2 + 2
    assert ("sst2", sum(NOW) / 6, "demo", "version 1, prompt abc", 6) in [tuple(row) for row in rows]
    database.migrate()
    assert kept() == before


def test_a_perplexity_that_only_the_record_has_comes_over(database: Database, stores: Stores) -> None:
    """As the earliest versions kept them. A result without a value does not keep the others from coming."""
    read_text(stores, PRUNED, "demo", text(BEFORE))
    before = Measurements(database).values_of([PRUNED])
    stores.results.add("evaluation", DENSE, job=None, spec={"model": "demo"}, summary={})
    downgrade(database, "0005")
    with database.writing() as connection:
        for table in ("measurements", "packed", "outcomes"):
            connection.execute(sql(f"DELETE FROM {table}"))
        broken = {"id": DENSE, "summary": json.dumps({"tasks": {"sst2": {}, "rte": None}})}
        connection.execute(sql("UPDATE records SET summary = :summary WHERE id = :id"), broken)
    database.migrate()
    assert Measurements(database).values_of([DENSE, PRUNED]) == before
    assert stores.results.get("evaluation", DENSE).summary["tasks"] == {}


BEFORE = [2.0, 1.5, 3.0, 2.5]
AFTER = [2.5, 1.75, 3.5, 2.25]


def text(nlls: Sequence[float], sha256: str = "same windows") -> dict[str, Any]:
    nll = sum(nlls) / len(nlls)
    size = {"tokens": 31 * len(nlls), "windows": len(nlls), "seqlen": 32}
    interval = [math.exp(nll - 0.2), math.exp(nll + 0.2)] if len(nlls) > 1 else None
    whole = {"perplexity": math.exp(nll), "nll": nll, "interval": interval, **size, "sha256": sha256}
    return {**whole, "source": "made up", "nlls": [*nlls]}


def read_text(stores: Stores, name: str, model: str, found: dict[str, Any], *, on: str = "ptb") -> None:
    spec = {"model": model, "tasks": [], "perplexity": {"datasets": [on], "seqlen": 32, "windows": None}}
    stores.results.add_evaluation(name, job=None, spec=spec, document={"tasks": {}, "perplexity": {on: found}})


@pytest.mark.parametrize("dense_first", [True, False])
def test_perplexities_are_paired_by_the_losses_of_their_windows(stores: Stores, dense_first: bool) -> None:
    keep_model(stores, MODEL, "demo")
    for name, model, nlls in [(DENSE, "demo", BEFORE), (PRUNED, f"pruned:{MODEL}", AFTER)][:: 1 if dense_first else -1]:
        read_text(stores, name, model, text(nlls))
    pair = Measurements(stores.database).pairings_of([PRUNED])[PRUNED, "ptb"]
    wanted = ttest_rel(AFTER, BEFORE)
    assert pair.dense_evaluation == DENSE
    assert (pair.rows, pair.newly_wrong, pair.newly_right, pair.both_right) == (4, 3, 1, 0)
    assert pair.difference == pytest.approx(0.25)
    assert (*pair.interval, pair.p) == pytest.approx((*wanted.confidence_interval(0.95), wanted.pvalue))
    (found,) = Measurements(stores.database).values_of([PRUNED]).values()
    assert found.rows == 4 * 31 and found.chance is None
    assert (found.value, *(found.interval or ())) == pytest.approx((math.exp(2.5), math.exp(2.3), math.exp(2.7)))


@pytest.mark.parametrize("nlls", [AFTER, AFTER[:1]])
def test_other_windows_and_a_single_one_are_not_paired(stores: Stores, nlls: list[float]) -> None:
    keep_model(stores, MODEL, "demo")
    read_text(stores, DENSE, "demo", text(BEFORE[: len(nlls)]))
    read_text(stores, PRUNED, f"pruned:{MODEL}", text(nlls, "same windows" if len(nlls) == 1 else "others"))
    assert Measurements(stores.database).pairings_of([PRUNED]) == {}


def test_a_text_with_a_path_of_any_length_is_kept(stores: Stores) -> None:
    path = "/" + "deep/" * 100 + "text.txt"
    read_text(stores, DENSE, "demo", text(BEFORE), on=path)
    assert [*Measurements(stores.database).values_of([DENSE])] == [(DENSE, text_key(path))]


def test_no_text_is_called_as_a_task() -> None:
    """Both stand in the same columns."""
    assert not set(TASKS) & set(PERPLEXITY_SETS)


def answered(scores: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Rows whose right answers are no, yes, no, yes."""
    choices = [" no", " yes"]
    return [
        {"index": i, "text": "", "choices": choices, "answer": i % 2, "chosen": int(no < yes), "scores": [no, yes]}
        for i, (no, yes) in enumerate(scores)
    ]


def test_aucs_are_paired_on_the_same_rows(stores: Stores, database: Database) -> None:
    keep_model(stores, MODEL, "demo")
    scores = {DENSE: [(-1.0, -2.0), (-3.0, -1.0), (-2.0, -1.5), (-3.0, -0.5)], PRUNED: [(-2.0, -1.0)] * 4}
    models = {DENSE: "demo", PRUNED: f"pruned:{MODEL}"}
    documents = {
        name: {"tasks": {"sst2": {**result([True, True, False, True]), "examples": answered(each)}}}
        for name, each in scores.items()
    }

    def keep(*names: str) -> None:
        for name in names:
            spec = {"model": models[name], "tasks": ["sst2"]}
            stores.results.add_evaluation(name, job=None, spec=spec, document=documents[name])

    reader = Measurements(database)
    for names in ((DENSE, PRUNED), (PRUNED, DENSE)):
        keep(*names)
        found = reader.pairings_of([PRUNED, DENSE], ("auc",))
        assert [*found] == [(PRUNED, "sst2")]
        pair = found[PRUNED, "sst2"]
        assert (pair.dense_evaluation, pair.rows, pair.newly_wrong, pair.difference) == (DENSE, 4, 1, -0.5)
        assert pair.low <= pair.difference <= pair.high
        stores.results.delete("evaluation", names[0])
        assert reader.pairings_of([PRUNED], ("auc",)) == {}
        keep(names[0])
        assert reader.pairings_of([PRUNED], ("auc",)) == {(PRUNED, "sst2"): pair}
    accuracy = reader.pairings_of([PRUNED])[PRUNED, "sst2"]
    assert accuracy.difference == -0.25 and accuracy.newly_wrong == 1, "not the AUC's"
    assert reader.without_outcomes() == []
    downgrade(database, "0007")
    with database.reading() as connection:
        assert connection.execute(select(pairings.c.measure)).scalars().all() == ["accuracy"]
    database.migrate()
    assert reader.without_outcomes() == [DENSE, PRUNED] and reader.pairings_of([PRUNED], ("auc",)) == {}
    for name in (DENSE, PRUNED):
        assert stores.results.add_outcomes(name, documents[name])
    assert reader.pairings_of([PRUNED], ("auc",)) == {(PRUNED, "sst2"): pair} and reader.without_outcomes() == []


def test_label_values_are_kept_with_an_evaluation_and_can_be_added_later(stores: Stores, database: Database) -> None:
    reader = Measurements(database)
    rows = answered([(-1.0, -2.0), (-3.0, -1.0), (-2.0, -1.0), (-3.0, -0.5)])
    document = {"tasks": {"sst2": {**result([True, True, False, True]), "examples": rows}, "arc": result(RIGHT)}}
    spec = {"model": "demo", "tasks": ["sst2", "arc"]}
    stores.results.add_evaluation(DENSE, job=None, spec=spec, document=document)
    kept = reader.labels_of([DENSE, PRUNED])
    assert [*kept] == [(DENSE, "sst2")], "the rows of arc were not kept"
    found = kept[DENSE, "sst2"]
    assert [*map(tuple, found.shares)] == [("no", 0.25, 0.5), ("yes", 0.75, 0.5)]
    assert (found.auc, found.adjusted, found.prior_shift, found.rows) == (1.0, 1.0, 0.25, 4)
    assert "labels" not in stores.results.get("evaluation", DENSE).summary["tasks"]["sst2"]
    assert reader.values_of([DENSE])[DENSE, "sst2"].value == 0.75
    assert reader.without_labels() == []
    evaluate(stores, PRUNED, "demo", RIGHT)
    assert reader.without_labels() == [], "no task with fixed labels, which is known"
    downgrade(database, "0006")
    assert reader.labels_of([DENSE]) == {} and reader.without_labels() == [DENSE, PRUNED]
    database.migrate()
    stores.results.add_labels(DENSE, document)
    assert reader.labels_of([DENSE]) == kept and reader.without_labels() == [PRUNED]
    stores.results.delete("evaluation", DENSE)
    assert reader.labels_of([DENSE]) == {}
