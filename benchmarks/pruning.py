"""Benchmarks pruning against a plain forward pass and other implementations, on the same model and windows.

    python -m benchmarks.pruning --shape small --output benchmarks/results/pruning-cpu.json
    python -m benchmarks.pruning --shape llama-2-7b --device cuda --no-peer --output benchmarks/results/pruning-gpu.json

Speed varies between machines and over time. So in every round each implementation runs between two forward passes, and
the ratio to the mean of those two is compared. Measured are

    the forward pass     the decoder without its head, all windows, with the same micro-batch size as below
    our methods          `pruning.walk.prune` on a model in host memory, without loading and saving; no placebos
    published way        SparseGPT organised as its authors' code (`benchmarks.published_sparsegpt`)
    llm-compressor       its `oneshot`, in an environment that is installed below --work on the first run

After the rounds each of our methods runs once more with its stages timed separately.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.budgets import checked
from benchmarks.clocks import CLOCKS
from benchmarks.contenders import CASES, Bench, Case, Contender, Masks, contenders
from benchmarks.machine import described, machine
from benchmarks.peer import Peer
from benchmarks.shapes import SHAPES, write
from benchmarks.stages import PLACES, REST, Stopwatch
from benchmarks.tables import insert, table
from prunescope.lm.loading import choose_device

WORK = Path.home() / ".cache" / "prunescope" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    shape, device = SHAPES[options.shape], choose_device(options.device)
    facts = machine(device)
    print(described(facts))
    folder = write(shape, options.work / "models" / shape.name, device)
    with ExitStack() as stack:
        bench = Bench(shape, folder, device, options.clock)
        peer = (
            None if options.no_peer else stack.enter_context(Peer(options.work, folder, shape, device, options.clock))
        )
        running = contenders(bench, peer)
        masks, forward = _rounds(bench, running, options.rounds)
    stages = {case.name: _stages(bench, case, options.clock) for case in CASES}
    compared = [_compared(one, running, masks) for one in running if one.same_as]
    budgets = checked(
        shape.name,
        device.type,
        {one.name: statistics.median(one.ratios) for one in running if not one.same_as},
        {one.name: statistics.median(one.seconds) for one in running if not one.same_as},
        compared,
    )
    document = {
        "benchmark": "pruning",
        "command": _command(options),
        "machine": facts,
        "shape": {"name": shape.name, "windows": [shape.samples, shape.tokens], "batch": shape.batch, **shape.config},
        "dtype": str(bench.dtype).removeprefix("torch."),
        "rounds": options.rounds,
        "clock": options.clock,
        "forward_seconds": _summary(forward),
        "contenders": {
            one.name: {"seconds": _summary(one.seconds), "forward_passes": _summary(one.ratios)} for one in running
        },
        "compared": compared,
        "stages_seconds": stages,
        "load_and_save_seconds": _load_and_save(bench, options.work),
        "budgets": [asdict(budget) for budget in budgets],
    }
    lines = markdown(document)
    print(f"\n{lines}")
    if options.document:
        insert(options.document, f"pruning {shape.name} {device.type}", lines)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times of pruning, side by side with others.")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything runs")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: processor time, on a CPU that is shared")
    parser.add_argument("--work", type=Path, default=WORK, help="models and llm-compressor go here")
    parser.add_argument("--no-peer", action="store_true", help="without llm-compressor")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the tables")
    return parser.parse_args(arguments)


def _command(options: argparse.Namespace) -> str:
    more = " --clock cpu" if options.clock == "cpu" else ""
    more += " --no-peer" if options.no_peer else ""
    return f"python -m benchmarks.pruning --shape {options.shape} --rounds {options.rounds}{more}"


def _rounds(bench: Bench, running: list[Contender], rounds: int) -> tuple[dict[str, Masks], list[float]]:
    """Run all rounds; returns each implementation's masks and the seconds of all forward passes."""
    masks: dict[str, Masks] = {}
    bench.forward()  # warm-up
    forward = [bench.forward()]
    for number in range(rounds):
        for one in running:
            seconds, masks[one.name] = one.run()
            forward.append(bench.forward())
            one.seconds.append(seconds)
            one.ratios.append(seconds / statistics.mean(forward[-2:]))
            print(f"round {number + 1} of {rounds}  {one.ratios[-1]:7.2f} x  {seconds:8.2f} s  {one.name}", flush=True)
    return masks, forward


def _stages(bench: Bench, case: Case, clock: str) -> dict[str, float]:
    watch = Stopwatch(bench.device, clock)
    bench.ours(case, watch)
    return {stage: watch.seconds[stage] for stage in (*PLACES, REST) if watch.seconds.get(stage)}


def _compared(other: Contender, running: list[Contender], masks: Mapping[str, Masks]) -> dict[str, Any]:
    """The other implementation's time relative to ours, and the agreement of their masks."""
    ours = next(one for one in running if one.name == other.same_as)
    faster = [theirs / own for theirs, own in zip(other.ratios, ours.ratios, strict=True)]
    pairs = [(name, mask, masks[other.name][name]) for name, mask in masks[ours.name].items()]
    return {
        "ours": ours.name,
        "other": other.name,
        "times_longer": _summary(faster),
        "masks_equal_first_layer": _equal([(a, b) for name, a, b in pairs if name.startswith("0.")]),
        "masks_equal": _equal([(a, b) for _, a, b in pairs]),
    }


def _equal(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The share of entries in which two lists of masks agree."""
    return sum(int(a.eq(b).sum()) for a, b in pairs) / sum(a.numel() for a, _ in pairs)


def _load_and_save(bench: Bench, work: Path) -> dict[str, float]:
    """Seconds that a command takes to load the model and to save it."""
    began = time.perf_counter()
    model = bench.fresh()
    loaded = time.perf_counter()
    model.save_pretrained(work / "saved")
    return {"load": loaded - began, "save": time.perf_counter() - loaded}


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def markdown(document: Mapping[str, Any]) -> str:
    """Everything that was measured, as tables."""
    passes = [
        [name, *(f"{one['forward_passes'][key]:.2f}" for key in ("min", "median")), f"{one['seconds']['min']:.2f}"]
        for name, one in document["contenders"].items()
    ]
    beside = [
        [
            one["other"],
            f"{one['times_longer']['median']:.2f}",
            f"{one['masks_equal_first_layer']:.4%}",
            f"{one['masks_equal']:.4%}",
        ]
        for one in document["compared"]
    ]
    found = document["stages_seconds"]
    stages = [stage for stage in (*PLACES, REST) if any(stage in one for one in found.values())]
    shares = [
        [name, *(f"{one.get(stage, 0) / sum(one.values()):.1%}" for stage in stages)] for name, one in found.items()
    ]
    budgets = [
        [one["what"], one["limit"], one["measured"], "met" if one["met"] else "**missed**"]
        for one in document["budgets"]
    ]
    shape, files = document["shape"], document["load_and_save_seconds"]
    samples, tokens = shape["windows"]
    return "\n\n".join(
        [
            f"`{document['command']}`, {shape['num_hidden_layers']} layers of width {shape['hidden_size']} with "
            f"{shape['intermediate_size']} neurons, {samples} windows of {tokens} tokens, {shape['batch']} at once, "
            f"{document['dtype']}, {document['rounds']} rounds, {document['clock']} time, on "
            f"{described(document['machine'])}. "
            f"The forward pass took {document['forward_seconds']['min']:.2f} s at best, "
            f"{document['forward_seconds']['median']:.2f} s in the middle.",
            "In forward passes:",
            table(["contender", "least", "median", "seconds at best"], passes),
            "Beside ours (median of how many times longer, share of equal mask entries in the first layer and in all):",
            table(["other", "times longer", "first layer", "all layers"], beside),
            f"Where the time goes, of one run under the stopwatch. Beside it, once a command: reading the model "
            f"{files['load']:.2f} s, writing it {files['save']:.2f} s.",
            table(["method", *stages], shares),
            "Budgets, at the median:",
            table(["what", "budget", "measured", ""], budgets),
        ]
    )


if __name__ == "__main__":
    main()
