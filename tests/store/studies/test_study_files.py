"""The studies that ship: what the paper's tables and figures ask for, no more and no less."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import prunescope
from prunescope.jobs.fingerprints import fingerprint
from prunescope.jobs.specs import StudySpec, parse_spec
from prunescope.jobs.vocabulary import CALIBRATION_SETS, TASKS
from prunescope.store.studies.grid import plan
from prunescope.store.studies.published import published_tables

STUDIES = Path(prunescope.__file__).parent / "studies"
THE_24 = [task for task in TASKS if task != "reviews"]
SETS = [name for name in CALIBRATION_SETS if name != "demo"]


def study(name: str) -> StudySpec:
    document: dict[str, Any] = yaml.safe_load((STUDIES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert document.keys() == {"kind", "spec"} and document["kind"] == "study"
    spec = parse_spec("study", document["spec"])
    assert isinstance(spec, StudySpec)
    return spec


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_is_a_study_that_says_how_many_jobs_it_is(path: Path) -> None:
    spec = study(path.stem)
    cells = plan(spec, lambda kind, cell: fingerprint(kind, cell, {}))
    assert cells
    if path.stem.startswith("paper"):
        assert f"# {len({cell.fingerprint for cell in cells}):,} jobs" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["table-1", "table-3", "table-4", "table-5", "figure-3", "figure-4", "figure-5"])
def test_the_averages_are_over_all_tasks(name: str) -> None:
    assert sorted(study(f"paper-{name}").tasks) == sorted(THE_24)
    assert study(f"paper-{name}").newline == "literal", "as the paper's Figure 1 shows its prompt"


@pytest.mark.parametrize("name", [f"table-{number}" for number in range(1, 6)])
def test_a_table_has_the_rows_and_columns_of_the_paper(name: str) -> None:
    spec, table = study(f"paper-{name}"), published_tables()[name]
    labels = {
        "model": set(spec.models),
        "task": set(spec.tasks),
        "calibration": {str(calibration) for calibration in spec.calibrations},
        "pattern": {str(pattern) for pattern in spec.patterns},
        "seqlen": {str(seqlen) for seqlen in spec.seqlens},
    }
    assert set(table.rows) == labels[table.rows_axis]
    assert set(table.columns) == labels[table.columns_axis]


def test_the_figures_are_the_tables_other_sides() -> None:
    for figure, of in (("figure-3", "table-5"), ("figure-4", "table-1"), ("figure-5", "table-4")):
        shown, detailed = study(f"paper-{figure}"), study(f"paper-{of}")
        assert {**shown.model_dump(), "name": ""} == {**detailed.model_dump(), "name": ""}
