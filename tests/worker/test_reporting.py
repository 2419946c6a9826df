"""Progress goes out often enough, and its estimate is that of its stage."""

from types import SimpleNamespace

import pytest

from prunescope.jobs.documents import Progress
from prunescope.pruning.reports import LayerReport, MatrixReport
from prunescope.worker.context import Context
from prunescope.worker.reporting import Reporter, layer_words


def test_batches_that_come_fast_are_left_out_but_for_the_last() -> None:
    said: list[Progress] = []
    noted: list[str] = []
    reporter = Reporter(said.append, noted.append)
    for done in range(1001):
        reporter.report(Progress(stage="sst2", done=done, total=1000, unit="rows"))
    assert said[0].done == 0 and said[-1].done == 1000
    assert len(said) < 100
    assert noted == ["sst2"]


def test_every_layer_has_a_line_of_log() -> None:
    noted: list[str] = []
    reporter = Reporter(lambda progress: None, noted.append)
    reporter.report(Progress(stage="load", message="demo"))
    for done in range(3):
        reporter.report(
            Progress(stage="prune", done=done, total=2, unit="layers", message="50.0% zeros" if done else "")
        )
    assert noted == [
        "load demo",
        "prune",
        "prune: layer 1 of 2  50.0% zeros",
        "prune: layer 2 of 2  50.0% zeros",
    ]


def test_what_a_stage_says_at_its_end_has_a_line_of_log() -> None:
    noted: list[str] = []
    reporter = Reporter(lambda progress: None, noted.append)
    for done in range(3):
        reporter.report(Progress(stage="sst2", done=done, total=2, unit="rows"))
    reporter.report(Progress(stage="sst2", done=2, total=2, unit="rows", message="accuracy 50.0%"))
    assert noted == ["sst2", "sst2: accuracy 50.0%"]


def test_matrices_are_said_but_not_logged() -> None:
    said: list[Progress] = []
    noted: list[str] = []
    reporter = Reporter(said.append, noted.append)
    for done in range(3):
        if done:
            reporter.report(Progress(stage="prune", done=done, total=2, unit="layers", message="50.0% zeros"))
        for name in ("q_proj", "down_proj"):
            reporter.report(Progress(stage="prune", done=done, total=2, unit="layers", message=name))
    assert noted == ["prune q_proj", "prune: layer 1 of 2  50.0% zeros", "prune: layer 2 of 2  50.0% zeros"]
    assert said[0].message == "q_proj"


def test_a_finished_layer_in_words() -> None:
    def matrix(rows: int, sparsity: float, error: float | None) -> MatrixReport:
        return MatrixReport(0, "mlp.up_proj", rows, 4, sparsity, error)

    layer = LayerReport(0, 2, 4.23, {}, (matrix(8, 0.5, 0.1), matrix(2, 0.25, 0.164)))
    assert layer_words(layer) == "45.0% zeros  error 0.132  4.2 s"
    assert layer_words(LayerReport(0, 2, 0.04, {}, (matrix(8, 0.5, None),))) == "50.0% zeros  0.0 s"
    noted = (
        MatrixReport(0, "q_proj", 8, 4, 0.5, None, error_note="no tokens"),
        MatrixReport(0, "up_proj", 8, 4, 0.75, 0.1, sparsity_note="75.0% zeros, 50.0% asked for: so it was"),
    )
    assert layer_words(LayerReport(0, 2, 0.04, {}, noted)) == (
        "62.5% zeros  error 0.100  0.0 s  error not measured in 1 of 2 matrices  "
        "up_proj: 75.0% zeros, 50.0% asked for: so it was"
    )


def test_an_estimate_comes_after_the_second_step_and_starts_anew_with_a_stage(context: Context) -> None:
    for stage in ("score", "compare"):
        for done in range(1, 4):
            context.step(stage, done, 3, "layers")
    etas = [step.eta_seconds for step in context.said]  # type: ignore[attr-defined]
    assert [eta is None for eta in etas] == [True, False, False] * 2
    assert etas[2] == 0


def test_an_estimate_counts_down_within_a_step_and_leaves_restored_layers_out(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 2.0, 12.0, 22.0, 25.0, 90.0])
    # The module's own name for it, not the clock itself: servers of other tests read that one in their threads.
    monkeypatch.setattr("prunescope.worker.context.time", SimpleNamespace(monotonic=lambda: next(clock)))
    for done in range(3):
        context.step("prune", done, 8, "layers", timed=done == 0)  # two layers that an earlier run had finished
    for done in (3, 4, 4, 4):
        context.step("prune", done, 8, "layers")
    etas = [step.eta_seconds for step in context.said]  # type: ignore[attr-defined]
    assert etas == [None, None, None, None, 40.0, 37.0, 0.0]
