"""Measurements, outcomes and pairings beside the records of evaluations, on both databases."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from scipy.stats import binomtest, ttest_rel
from sqlalchemy import delete, select

from prunescope.jobs.vocabulary import PERPLEXITY_SETS, TASKS
from prunescope.store.database import Database
from prunescope.store.evaluations.outcomes import Answered, outcomes_of, text_key
from prunescope.store.evaluations.packed import MEASURED, NOBODY, PAIRED, pack
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.evaluations.values import ACCURACY, Pairing
from prunescope.store.submission import Stores
from prunescope.store.tables import measurements, outcomes, packed, pairings
from tests.store.test_database import ROOT

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


def outcome(right: Sequence[bool], text: str = "row") -> Answered:
    asked = {"choices": ["no", "yes"], "answer": 0}
    examples = [{"index": i, "text": text, **asked, "chosen": 0 if r else 1} for i, r in enumerate(right)]
    return outcomes_of({"tasks": {"task": {"examples": examples}}})["task"]


def evaluate(stores: Stores, name: str, model: str, right: Sequence[bool], text: str = "row", **change: Any) -> None:
    stores.results.add(
        "evaluation",
        name,
        job=None,
        spec={"model": model, "tasks": ["sst2"]},
        summary={"tasks": {"sst2": result(right, **change)}},
        outcomes={"sst2": outcome(right, text)},
    )


def paired(stores: Stores, evaluation: str = PRUNED) -> Pairing | None:
    return Measurements(stores.database).pairings_of([evaluation]).get((evaluation, "sst2"))


def assert_packed_is_true(stores: Stores) -> None:
    """What is packed is what the other tables say."""
    with stores.database.reading() as connection:
        measured = [
            (row.measure, row.evaluation, NOBODY, row.task, *(getattr(row, name) for name in MEASURED))
            for row in connection.execute(select(measurements).order_by(*measurements.primary_key))
        ]
        paired = [
            (ACCURACY, row.evaluation, row.dense_evaluation, row.task, *(getattr(row, name) for name in PAIRED))
            for row in connection.execute(select(pairings).order_by(*pairings.primary_key))
        ]
        kept = {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(select(packed))}
    wanted = {(each.evaluation, measure, each.beside): each[2:] for measure, each in pack([*measured, *paired])}
    assert kept == wanted


@pytest.mark.parametrize("seed", range(3))
def test_what_is_packed_follows_every_change(stores: Stores, seed: int) -> None:
    draw = random.Random(seed)
    keep_model(stores, MODEL, "demo")
    there: set[str] = set()
    for _ in range(12):
        name, model = draw.choice([(DENSE, "demo"), ("c" * 16, "demo"), (PRUNED, f"pruned:{MODEL}"), (AGAIN, "other")])
        if name in there and draw.random() < 0.4:
            with stores.artefacts.staging("evaluation", name):
                pass
            stores.results.delete("evaluation", name)
            there.remove(name)
        else:
            right = [draw.random() < 0.5 for _ in range(6)]
            evaluate(stores, name, model, right, chance=draw.choice([0.5, None]))
            there.add(name)
        assert_packed_is_true(stores)


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
        assert [row.evaluation for row in connection.execute(select(measurements))] == [PRUNED]
        assert [row.evaluation for row in connection.execute(select(outcomes))] == [PRUNED]


def test_of_several_dense_evaluations_on_the_same_rows_the_newest_counts(stores: Stores) -> None:
    keep_model(stores, MODEL, "demo")
    evaluate(stores, PRUNED, f"pruned:{MODEL}", NOW)
    for name in (DENSE, "a" * 16):
        evaluate(stores, name, "demo", RIGHT)
    pair = paired(stores)
    assert pair is not None and pair.dense_evaluation == "a" * 16


def test_without_outcomes_there_are_accuracies_and_no_pairing(stores: Stores) -> None:
    keep_model(stores, MODEL, "demo")
    evaluate(stores, DENSE, "demo", RIGHT)
    spec = {"model": f"pruned:{MODEL}", "tasks": ["sst2"]}
    stores.results.add("evaluation", PRUNED, job=None, spec=spec, summary={"tasks": {"sst2": result(NOW)}})
    assert paired(stores) is None
    assert Measurements(stores.database).without_outcomes() == [PRUNED]


def test_evaluations_of_an_earlier_version_get_their_measurements(database: Database, stores: Stores) -> None:
    """The migration takes them out of the records."""
    keep_model(stores, MODEL, "demo")
    keep_model(stores, AGAIN, f"pruned:{MODEL}")
    evaluate(stores, DENSE, "demo", RIGHT)
    evaluate(stores, PRUNED, f"pruned:{AGAIN}", NOW)
    stores.results.add("evaluation", "f" * 16, job=None, spec={"model": "pruned:" + "9" * 16}, summary={"tasks": {}})
    with database.reading() as connection:
        before = connection.execute(select(measurements).order_by(measurements.c.evaluation)).all()
    assert [row.base for row in before] == [None, "demo"]
    config = Config()
    config.set_main_option("script_location", str(ROOT / "store" / "migrations"))
    with database.exclusive() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    database.migrate()
    with database.reading() as connection:
        after = connection.execute(select(measurements).order_by(measurements.c.evaluation)).all()
    assert after == before
    assert_packed_is_true(stores)
    assert Measurements(database).without_outcomes() == [DENSE, PRUNED]


BEFORE = [2.0, 1.5, 3.0, 2.5]
AFTER = [2.5, 1.75, 3.5, 2.25]


def text(nlls: Sequence[float], sha256: str = "same windows") -> dict[str, Any]:
    nll = sum(nlls) / len(nlls)
    size = {"tokens": 31 * len(nlls), "windows": len(nlls), "seqlen": 32}
    interval = [math.exp(nll - 0.2), math.exp(nll + 0.2)] if len(nlls) > 1 else None
    whole = {"perplexity": math.exp(nll), "nll": nll, "interval": interval, **size, "sha256": sha256}
    return {**whole, "source": "made up", "nlls": [*nlls]}


def read_text(
    stores: Stores, name: str, model: str, found: dict[str, Any], *, on: str = "ptb", kept: bool = True
) -> None:
    document = {"tasks": {}, "perplexity": {on: found}}
    summary = {"tasks": {}, "perplexity": {on: {key: found[key] for key in found if key != "nlls"}}}
    spec = {"model": model, "tasks": [], "perplexity": {"datasets": [on], "seqlen": 32, "windows": None}}
    outcomes = outcomes_of(document) if kept else {}
    stores.results.add("evaluation", name, job=None, spec=spec, summary=summary, outcomes=outcomes)


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
    with stores.database.reading() as connection:
        row = connection.execute(select(measurements).where(measurements.c.evaluation == PRUNED)).one()
    assert (row.measure, row.task, row.base, row.rows) == ("perplexity", "ptb", "demo", 4 * 31)
    assert (row.value, row.low, row.high) == pytest.approx((math.exp(2.5), math.exp(2.3), math.exp(2.7)))


@pytest.mark.parametrize("nlls", [AFTER, AFTER[:1]])
def test_other_windows_and_a_single_one_are_not_paired(stores: Stores, nlls: list[float]) -> None:
    keep_model(stores, MODEL, "demo")
    read_text(stores, DENSE, "demo", text(BEFORE[: len(nlls)]))
    read_text(stores, PRUNED, f"pruned:{MODEL}", text(nlls, "same windows" if len(nlls) == 1 else "others"))
    assert Measurements(stores.database).pairings_of([PRUNED]) == {}


def test_perplexities_that_only_the_record_has_are_found(stores: Stores) -> None:
    evaluate(stores, DENSE, "demo", RIGHT)
    read_text(stores, PRUNED, "demo", text(BEFORE))
    reader = Measurements(stores.database)
    assert reader.without_perplexities() == []
    with stores.database.writing() as connection:
        connection.execute(delete(measurements))
    assert reader.without_perplexities() == [PRUNED], "the other one was never asked for perplexity"
    read_text(stores, PRUNED, "demo", text(BEFORE), kept=False)
    assert reader.without_perplexities() == [] and reader.without_outcomes() == []


def test_a_text_with_a_path_of_any_length_is_kept(stores: Stores) -> None:
    path = "/" + "deep/" * 100 + "text.txt"
    read_text(stores, DENSE, "demo", text(BEFORE), on=path)
    with stores.database.reading() as connection:
        assert connection.execute(select(measurements.c.task)).scalar_one() == text_key(path)


def test_no_text_is_called_as_a_task() -> None:
    """Both stand in the same columns."""
    assert not set(TASKS) & set(PERPLEXITY_SETS)
