"""Runs and times an evaluation command in this process: `prunescope evaluate`, or lm-evaluation-harness's.

    python -m benchmarks.evaluation_runner ours   ANSWER BATCH evaluate MODEL --tasks ...
    python -m benchmarks.evaluation_runner theirs ANSWER 16    run --model hf ...

The command runs as with `python -m prunescope.cli` or `python -m lm_eval`, with the remaining arguments. ANSWER is a
JSON file to which seconds and accuracies are written:

    evaluation    from the tasks' definitions to the accuracies; no import and no loading of the model
    scoring       the part of it for tokenisation and forward passes
    cpu           processor time of `evaluation`, all threads

BATCH is the batch size in sequences; 0 means our command's own choice. The command has no option for it.
"""

import json
import runpy
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

Seconds = defaultdict[str, float]
"""Seconds of each part, summed over its calls."""


def main(arguments: Sequence[str]) -> None:
    side, answer, batch, *command = arguments
    seconds: Seconds = defaultdict(float)
    accuracies: dict[str, float] = {}
    program = {"ours": _watch_ours, "theirs": _watch_theirs}[side](seconds, accuracies, int(batch))
    sys.argv = [program, *command]
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    Path(answer).write_text(json.dumps({"seconds": seconds, "accuracy": accuracies}), encoding="utf-8")


def _watch_ours(seconds: Seconds, accuracies: dict[str, float], batch: int) -> str:
    import prunescope.evaluation.harness  # noqa: F401 - imported here so that it is not timed
    from prunescope.evaluation.accuracy import evaluate
    from prunescope.worker import stages

    def measured(*given: Any, on_batch: Callable[[str, int, int], None], **options: Any) -> Any:
        first: list[float] = []

        def report(task: str, done: int, total: int) -> None:
            first.append(time.perf_counter())
            on_batch(task, done, total)

        results = evaluate(*given, **options, on_batch=report, batch=batch or None)
        seconds["scoring"] += time.perf_counter() - first[0]
        accuracies.update({name: result.accuracy for name, result in results.items()})
        return results

    vars(stages)["measure"] = _timed(measured, seconds, "evaluation")
    return "cli"


def _watch_theirs(seconds: Seconds, accuracies: dict[str, float], batch: int) -> str:
    """Time the harness, which loads the tasks' definitions and rows in a separate call and the model in between."""
    from lm_eval import evaluator
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    evaluate = evaluator.evaluate

    def measured(*given: Any, **options: Any) -> Any:
        results = evaluate(*given, **options)
        accuracies.update({name: found["acc,none"] for name, found in results["results"].items()})
        return results

    TaskManager.load = _timed(TaskManager.load, seconds, "evaluation")
    evaluator.evaluate = _timed(measured, seconds, "evaluation")
    HFLM.loglikelihood = _timed(HFLM.loglikelihood, seconds, "scoring")
    return "lm_eval"


def _timed(function: Callable[..., Any], seconds: Seconds, part: str) -> Callable[..., Any]:
    @wraps(function)
    def timed(*given: Any, **options: Any) -> Any:
        began, busy = time.perf_counter(), time.process_time()
        try:
            return function(*given, **options)
        finally:
            seconds[part] += time.perf_counter() - began
            if part == "evaluation":
                seconds["cpu"] += time.process_time() - busy

    return timed


if __name__ == "__main__":
    main(sys.argv[1:])
