"""Progress goes out often enough, and its estimate is that of its stage."""

from jobs.documents import Progress
from worker.context import Context
from worker.reporting import Reporter


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
        "prune: layer 1 of 2 50.0% zeros",
        "prune: layer 2 of 2 50.0% zeros",
    ]


def test_an_estimate_comes_after_the_second_step_and_starts_anew_with_a_stage(context: Context) -> None:
    for stage in ("score", "compare"):
        for done in range(1, 4):
            context.step(stage, done, 3, "layers")
    etas = [step.eta_seconds for step in context.said]  # type: ignore[attr-defined]
    assert [eta is None for eta in etas] == [True, False, False] * 2
    assert etas[2] == 0
