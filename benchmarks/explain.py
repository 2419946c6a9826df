"""Counts the passes of an explanation over its rows, and compares its time with the plain forward pass.

    python -m benchmarks.explain --output benchmarks/results/explain.json --document docs/results.md

The demo model with 60 % of its weights removed, the first --rows reviews. A pass is the number of tokens that went
through the model's embedding, divided by the tokens of all rows (prompt once, every choice). Both halves of the rows
take the same passes. Those that patch activations or integrate gradients are counted by themselves.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import described, machine
from benchmarks.tables import insert, table
from prunescope import prune
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import ExplainSpec, parse_spec
from prunescope.lm.loading import LanguageModel
from prunescope.running import stage_context

MAX_PASSES = 4
"""Forward passes that each row may take beside those that patch activations or integrate gradients."""
MARK = "explain"
RANKING = ("record dense", "record pruned", "margin shares", "words")
PATCHING = ("restore", "damage")


class Counter:
    """Tokens through a model's embedding, and seconds, by stage of the explanation. A stage reports after each
    batch."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)
        self._new = 0
        self._since = time.perf_counter()

    def watch(self, lm: LanguageModel) -> None:
        """Count the tokens of every forward pass of this model from now on."""
        lm.model.get_input_embeddings().register_forward_hook(lambda _module, args, _output: self._add(args[0]))

    def report(self, stage: str) -> None:
        """A stage has done something."""
        now = time.perf_counter()
        self.tokens[stage] += self._new
        self.seconds[stage] += now - self._since
        self._new, self._since = 0, now

    def _add(self, ids: torch.Tensor) -> None:
        self._new += ids.numel()


def measured(rows: int) -> Counter:
    """Counts an explanation of the demo model's reviews."""
    from prunescope.worker.explain import explain

    counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        prune("demo", "magnitude", sparsity=0.6, output=f"{folder}/pruned")
        document = {"dense": "demo", "pruned": f"{folder}/pruned", "task": "reviews", "rows": "fell", "limit": rows}
        spec = parse_spec("explain", document)
        assert isinstance(spec, ExplainSpec)
        output = Path(folder, "out")
        output.mkdir()
        settings = Settings(_env_file=None)
        with stage_context(settings, lambda progress: counter.report(progress.stage)) as context:
            for reference in (spec.dense, spec.pruned):
                counter.watch(context.model(reference))
            explain(spec, output, context)
        return counter


def passes(counter: Counter) -> dict[str, dict[str, float]]:
    """Stage -> passes over all rows, and seconds."""
    whole = counter.tokens["record dense"]
    result: dict[str, dict[str, float]] = {}
    for stage, tokens in counter.tokens.items():
        name = next((kind for kind in PATCHING if stage.startswith(kind)), stage)
        each = result.setdefault(name, {"passes": 0.0, "seconds": 0.0})
        each["passes"] += tokens / whole
        each["seconds"] += counter.seconds[stage]
    return {name: each for name, each in result.items() if each["passes"]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--document", type=Path)
    options = parser.parse_args(arguments)
    facts = machine(torch.device("cpu"))
    stages = passes(measured(options.rows))
    ranking, patched = (
        sum(each["passes"] for name, each in stages.items() if name in names) for names in (RANKING, PATCHING)
    )
    document: dict[str, Any] = {
        "benchmark": "explain",
        "machine": facts,
        "rows": options.rows,
        "stages": stages,
        "forward_passes": {"ranking": ranking, "patched": patched},
        "limit": MAX_PASSES,
    }
    lines = [
        f"`python -m benchmarks.explain --rows {options.rows}`: an explanation of the demo model without 60 % of its "
        f"weights, {options.rows} reviews, on {described(facts)}. {ranking:.2f} forward passes of each row "
        f"record and rank (limit {MAX_PASSES}), {patched:.1f} patch activations. "
        "Passes below 1 run only rows whose margin fell, or prompts without their choices.",
        "",
        table(
            ["stage", "forward passes", "seconds"],
            [[name, f"{each['passes']:.2f}", f"{each['seconds']:.1f}"] for name, each in stages.items()],
        ),
    ]
    print("\n".join(lines))
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.document:
        insert(options.document, MARK, "\n".join(lines))
    if ranking > MAX_PASSES:
        raise SystemExit(f"recording and ranking take more than {MAX_PASSES} forward passes of each row")


if __name__ == "__main__":
    main()
