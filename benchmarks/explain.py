"""Counts the passes of an explanation over its rows, and compares its time with the plain forward pass.

    python -m benchmarks.explain --output benchmarks/results/explain.json --document docs/results.md

The demo model with 60 % of its weights removed, the first --rows reviews. A pass over a half is the number of tokens
that went through the model's embedding, divided by the tokens of the half's rows (prompt once, every choice). Passes
that patch activations are counted by themselves.
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
from prunescope.store.explanations.documents import Explanation

MAX_PASSES = 4
"""Forward passes of the rows that each half may take beside those that patch activations or integrate gradients."""
MARK = "explain"
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


def measured(rows: int) -> tuple[Counter, Explanation]:
    """An explanation of the demo model's reviews, counted."""
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
            return counter, explain(spec, output, context)


def passes(counter: Counter, found: Explanation) -> dict[str, dict[str, float]]:
    """Stage -> passes over the rows that it belongs to, and seconds. Recording runs all rows; the shares and the words
    run training rows; patching runs the held-out rows."""
    whole = counter.tokens["record dense"]
    training = whole * found.rows.training / found.rows.rows
    held_out = whole * found.rows.held_out / found.rows.rows
    of = {"record dense": whole, "record pruned": whole, "margin shares": training, "words": training}
    result: dict[str, dict[str, float]] = {}
    for stage, tokens in counter.tokens.items():
        name = next((kind for kind in PATCHING if stage.startswith(kind)), stage)
        each = result.setdefault(name, {"passes": 0.0, "seconds": 0.0})
        each["passes"] += tokens / of.get(stage, held_out)
        each["seconds"] += counter.seconds[stage]
    return {name: each for name, each in result.items() if each["passes"]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--document", type=Path)
    options = parser.parse_args(arguments)
    facts = machine(torch.device("cpu"))
    counter, found = measured(options.rows)
    stages = passes(counter, found)
    training = sum(stages[name]["passes"] for name in ("record dense", "record pruned", "margin shares", "words"))
    held_out = sum(stages[name]["passes"] for name in ("record dense", "record pruned"))
    patched = sum(stages[name]["passes"] for name in PATCHING)
    document: dict[str, Any] = {
        "benchmark": "explain",
        "machine": facts,
        "rows": options.rows,
        "stages": stages,
        "forward_passes": {"training": training, "held_out": held_out, "patched": patched},
        "limit": MAX_PASSES,
    }
    lines = [
        f"`python -m benchmarks.explain --rows {options.rows}`: an explanation of the demo model without 60 % of its "
        f"weights, {options.rows} reviews, on {described(facts)}. Forward passes of the training half {training:.2f}, "
        f"of the held-out half {held_out:.2f} (limit {MAX_PASSES} each), and {patched:.1f} that patch activations. "
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
    if training > MAX_PASSES or held_out > MAX_PASSES:
        raise SystemExit(f"an explanation takes more than {MAX_PASSES} forward passes of the rows of a half")


if __name__ == "__main__":
    main()
