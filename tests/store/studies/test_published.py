"""The paper's tables: whole, copied without a slip, and found by our labels."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from prunescope.jobs.problems import Problem
from prunescope.jobs.vocabulary import CALIBRATION_SETS
from prunescope.store.studies.published import PublishedTable, published_table, published_tables

PAPER = ("paper", "neuron_semantic_attribution.md")


def test_all_five_are_there() -> None:
    assert list(published_tables()) == [f"table-{number}" for number in range(1, 6)]
    for table in published_tables().values():
        spelled = [table.label.get(axis, {}) for axis in (table.rows_axis, table.columns_axis)]
        for labels, spelling in zip((table.rows, table.columns), spelled, strict=True):
            assert not spelling or set(labels) <= set(spelling)
        if table.columns_axis == "calibration":
            assert set(table.columns) == set(CALIBRATION_SETS) - {"demo"}
        assert all(value is None or 0 <= value <= 100 for row in table.values for value in row)


def test_every_value_stands_in_the_paper(shared: Path) -> None:
    """Row by row, as its text has them: numbers of one row follow each other."""
    text = shared.joinpath(*PAPER).read_text(encoding="utf-8").replace("<b>", "").replace("</b>", "")
    for name, table in published_tables().items():
        for row, values in zip(table.rows, table.values, strict=True):
            printed = "\t".join(f"{value:.2f}" for value in values if value is not None)
            if name == "table-5":  # printed in two halves
                first, second = printed.split("\t")[:12], printed.split("\t")[12:]
                assert f"\n{row}\t" + "\t".join(first) in text, (name, row)
                # The second half stands in the text with one more line of the same column in every cell.
                assert all(value in text for value in second), (name, row)
            else:
                assert printed in text, (name, row)


@pytest.mark.parametrize(
    ("table", "labels", "value"),
    [
        ("table-1", {"task": "yelp", "calibration": "c4"}, 0.7503),
        ("table-1", {"task": "race", "calibration": "wnli"}, 0.3659),
        ("table-1", {"task": "yelp", "calibration": "demo"}, None),
        ("table-1", {"task": "yelp"}, None),
        (
            "table-2",
            {"model": "mine/Llama-2-7b-hf", "task": "yelp", "calibration": "c4", "method": "wanda", "pattern": "0.5"},
            0.5038,
        ),
        ("table-2", {"model": "facebook/opt-30b", "task": "arc_easy", "calibration": "sst2", "method": "ria"}, None),
        ("table-3", {"task": "sciq", "pattern": "0.8"}, 0.28),
        ("table-4", {"model": "lmsys/vicuna-7b-v1.5", "calibration": "ptb", "pattern": "2:4"}, 0.59),
        ("table-4", {"model": "lmsys/vicuna-7b-v1.5", "calibration": "ptb", "pattern": "0.5"}, None),
        ("table-5", {"task": "mrpc", "seqlen": "1024"}, 0.7279),
        ("table-5", {"task": "yelp", "seqlen": "2048"}, None),
    ],
)
def test_a_value_is_found_by_our_labels(table: str, labels: dict[str, str], value: float | None) -> None:
    assert published_table(table).value(labels) == (None if value is None else pytest.approx(value))


def test_an_unknown_table_lists_the_known_ones() -> None:
    with pytest.raises(Problem, match="table-1"):
        published_table("table-9")


def test_a_table_with_a_hole_is_refused() -> None:
    document = published_table("table-3").model_dump()
    with pytest.raises(ValidationError, match="without values"):
        PublishedTable.model_validate({**document, "rows": document["rows"][1:]})
