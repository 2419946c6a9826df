"""The tables of findings from the kept cells of a run."""

import json
from pathlib import Path

from benchmarks.findings import Way, accuracies, main, restored


def keep(folder: Path, name: str, result: object, seconds: float = 3) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"seconds": seconds, "result": result}))


def measured(accuracy: float) -> dict[str, object]:
    return {"tasks": {"sst2": {"accuracy": accuracy, "rows": 200, "interval": [accuracy - 0.05, accuracy + 0.05]}}}


def test_accuracies_of_the_cells_that_exist(tmp_path: Path) -> None:
    keep(tmp_path, "dense-sst2", measured(0.565))
    keep(tmp_path, "wanda-24-sst2", measured(0.5))
    keep(tmp_path, "prune-wanda-24", None, 170.4)
    lines = accuracies(tmp_path, ["sst2", "boolq"]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["model", "sst2 (200 rows)", "prune, s"]
    assert cells[2:] == [["dense", "56.5 (51 to 62)", "-"], ["wanda 2:4", "50.0 (45 to 55)", "170"]]


def test_shares_that_the_chosen_neurons_restore(tmp_path: Path) -> None:
    curves = {"margin": [{"k": 100, "restored": 0.2}, {"k": 500, "restored": 0.357}], "score": []}
    keep(tmp_path, "explain-wanda-05-arc_easy", {"curves": curves, "all": {"neurons": 0.71}}, 90)
    head, _, row = ([cell.strip() for cell in line.strip("|").split("|")] for line in restored(tmp_path).splitlines())
    assert head == ["model and task", "margin, 500", "score, 500", "all MLP neurons", "s"]
    assert row == ["wanda-05-arc_easy", "35.7 %", "-", "71.0 %", "90"]
    assert restored(tmp_path / "nothing") == ""


def test_names_and_options_of_a_way() -> None:
    assert (Way("ria", "0.5").name, Way("ria", "0.5").amount) == ("ria-05", ("--sparsity", "0.5"))
    assert (Way("ria", "2:4").name, Way("ria", "2:4").amount) == ("ria-24", ("--pattern", "2:4"))


def test_a_run_keeps_its_cells_and_goes_on(tmp_path: Path) -> None:
    asked = ["demo", "--work", str(tmp_path), "--methods", "magnitude", "--patterns", "0.5", "--explain"]
    main([*asked, "--tasks", "reviews:4"])
    kept = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")}
    assert set(kept) == {"prune-magnitude-05.json", "dense-reviews.json", "magnitude-05-reviews.json"}
    main([*asked, "--tasks", "reviews:4"])
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")} == kept
