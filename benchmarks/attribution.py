"""Benchmarks attribution: recording compared with a plain forward pass, scoring, storage, reading, and memory.

    python -m benchmarks.attribution --output benchmarks/results/attribution-cpu.json --document docs/results.md
    python -m benchmarks.attribution --shape llama-2-7b --device cuda --output benchmarks/results/attribution-gpu.json

In one run, part after part:

    recording   the pass over the texts with and without recording, alternately, for a random-weight model of --shape
                and for the demo model (`benchmarks.recording`)
    store       a made-up attribution of Llama-2-7B's size through the project's own store: written, scored and compared
                with a pruned variant for the influential words and 200 draws of placebo words, and what it takes on
                disk (`benchmarks.made_attribution`)
    reading     latency of one neuron's document from a real server on loopback at 100 requests per second, and the
                transferred size of a neuron's page (`benchmarks.serving`); needs `store`
    memory      peak memory of recording 10, 50 and 200 texts, each in its own process

With --parts, the tables of other parts are not repeated: they have a mark of their own in the document.

It needs about 5 GB of free disk below --work, and twice a model's size for --shape.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.budgets import attribution_checked, drawn, statistics_seconds
from benchmarks.clocks import CLOCKS
from benchmarks.machine import described, machine
from benchmarks.made_attribution import SPEC as MADE_SPEC
from benchmarks.made_attribution import Size, make, reviews
from benchmarks.recording import memory, overhead
from benchmarks.shapes import SHAPES, write
from benchmarks.tables import insert, table
from prunescope.lm.loading import choose_device, load

WORK = Path.home() / ".cache" / "prunescope" / "benchmarks"
PARTS = ("recording", "store", "reading", "memory")
ID = "a7" * 8


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    facts = machine(device)
    print(described(facts), flush=True)
    options.work.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "benchmark": "attribution",
        "command": _command(options),
        "machine": facts,
        "rounds": options.rounds,
        "clock": options.clock,
    }
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        document |= _measured(options, device, Path(folder))
    document["budgets"] = [asdict(budget) for budget in attribution_checked(device.type, document)]
    lines = markdown(document)
    print(f"\n{lines}")
    if options.document:
        parts = "" if set(options.parts) == set(PARTS) else f" {' '.join(options.parts)}"
        insert(options.document, f"attribution{parts} {device.type}", lines)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _measured(options: argparse.Namespace, device: torch.device, work: Path) -> dict[str, Any]:
    """Run the requested parts, in order."""
    found: dict[str, Any] = {}
    if "recording" in options.parts:
        found["recording"] = _recording(options, device, work)
    if "store" in options.parts:
        home, shape = work / "home", (options.layers, options.neurons)
        size = Size(*shape, options.texts, options.tokens, options.permutations, options.placebo)
        found["store"] = _store(size, home / "artefacts" / "attributions" / ID, device, CLOCKS[options.clock])
        summary = found["store"].pop("summary")
        if "reading" in options.parts:
            from benchmarks import serving  # a machine with a GPU need not have what a server needs

            serving.register(home, ID, MADE_SPEC.model_dump(mode="json"), summary)
            asked = {"requests": options.requests, "rate": options.rate, "pages": options.pages}
            found["reading"] = serving.read(home, ID, shape, **asked)
            print("reading: done", flush=True)
    if "memory" in options.parts:
        found["memory"] = memory(options.memory_texts, options.tokens, work)
    return found


def _recording(options: argparse.Namespace, device: torch.device, work: Path) -> dict[str, Any]:
    shape = SHAPES[options.shape]
    folder = write(shape, options.work / "models" / shape.name, device)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(shape.config["vocab_size"], (options.texts, options.tokens), generator=generator).tolist()
    clock = CLOCKS[options.clock]
    found = {shape.name: overhead(load(folder, device=str(device)).model, ids, options.rounds, clock, work / "shape")}
    demo = load("demo", device=str(device))
    assert demo.tokenizer is not None
    ids = [text.ids for text in reviews(demo.tokenizer, options.texts, options.tokens)[0]]
    found["demo"] = overhead(demo.model, ids, options.rounds, clock, work / "demo")
    for name, one in found.items():
        print(f"recording {name}: {one['ratios']['recording']['median']:.3f} x the plain pass", flush=True)
    return found


def _store(size: Size, folder: Path, device: torch.device, clock: Callable[[], float]) -> dict[str, Any]:
    tokenizer = load("demo", device="cpu").tokenizer
    assert tokenizer is not None
    found = make(folder, tokenizer, size, device, clock)
    print("store:", *(f"{step} {took:.1f} s" for step, took in found["seconds"].items()), flush=True)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Times, sizes and memory of an attribution.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--shape", choices=SHAPES, default="small", help="the model that is recorded beside the demo's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--rounds", type=int, default=21, help="recording passes, each between two plain ones")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="of recording and store; cpu: on a CPU that is shared"
    )
    parser.add_argument("--layers", type=int, default=Size.layers, help="of the made-up attribution")
    parser.add_argument("--neurons", type=int, default=Size.neurons, help="of a layer of it")
    parser.add_argument("--texts", type=int, default=Size.texts)
    parser.add_argument("--tokens", type=int, default=Size.tokens, help="of a text")
    parser.add_argument("--placebo", type=int, default=Size.placebo, help="draws of placebo words; 0: of tokens")
    parser.add_argument("--permutations", type=int, default=Size.permutations, help="draws of tokens with --placebo 0")
    parser.add_argument("--threads", type=int, help="threads of the computation; default: as many as torch takes")
    parser.add_argument("--requests", type=int, default=1000, help="for neurons' documents")
    parser.add_argument("--rate", type=float, default=100, help="requests a second")
    parser.add_argument("--pages", type=int, default=100, help="neurons' pages, one after another")
    parser.add_argument("--memory-texts", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--work", type=Path, default=WORK, help="models and the made-up attribution go here")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the tables")
    return parser


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if "reading" in options.parts and "store" not in options.parts:
        parser.error("reading needs the attribution that the part 'store' makes: name both")
    return options


def _command(options: argparse.Namespace) -> str:
    """The benchmark's command line, without default values and paths."""
    default, more = _parser().get_default, ""
    for name, value in vars(options).items():
        if name not in ("work", "output", "document", "device") and value != default(name):
            values = value if isinstance(value, list) else [value]
            more += f" --{name.replace('_', '-')} {' '.join(map(str, values))}"
    return f"python -m benchmarks.attribution --device {options.device}{more}"


def markdown(document: Mapping[str, Any]) -> str:
    """Format all results as Markdown tables."""
    shown = [f"`{document['command']}`, {document['clock']} time, on {described(document['machine'])}."]
    if "recording" in document:
        shown += _recording_shown(document)
    if "store" in document:
        shown += _store_shown(document["store"])
    if "reading" in document:
        shown += _reading_shown(document["reading"])
    if "memory" in document:
        head = ["texts", "activations, MB", "recording, MB", "bringing into the store, MB"]
        rows = [[f"{value:.1f}" for value in one.values()] for one in document["memory"]]
        shown += [
            "Peaks of anonymous memory of the demo model's recording, a process for each number of texts. The store "
            "writes a shard whole, a layer or 64 MiB of it; recording holds one batch.",
            table(head, [[f"{one['texts']}", *row[1:]] for one, row in zip(document["memory"], rows, strict=True)]),
        ]
    rows = [[one["what"], one["limit"], one["measured"], _met(one["met"])] for one in document["budgets"]]
    return "\n\n".join([*shown, "Budgets, at the median:", table(["what", "budget", "measured", ""], rows)])


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _recording_shown(document: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, one in document["recording"].items():
        shape, ratios, seconds = one["shape"], one["ratios"], one["seconds"]
        rows.append(
            [
                f"{name}, {shape['layers']} x {shape['neurons']} neurons, {shape['dtype']}",
                *(f"{seconds[key]:.3f}" for key in ("plain", "recording", "storing")),
                *(f"{ratios[key]['median']:.3f}" for key in ("recording", "recording and storing")),
            ]
        )
    texts, tokens = next(iter(document["recording"].values()))["texts"]
    return [
        f"One pass over {texts} texts of {tokens} tokens without and with recording, medians of {document['rounds']} "
        "rounds. Storing brings what was recorded into the store's form: by neuron, compressed.",
        table(["model", "plain, s", "recording, s", "storing, s", "recording / plain", "with storing"], rows),
    ]


def _store_shown(store: Mapping[str, Any]) -> list[str]:
    size, seconds, kept = store["size"], store["seconds"], store["bytes"]
    rows = [
        ["writing as recording does, both variants, s", f"{seconds['record']:.1f}"],
        ["bringing into the store's form, both variants, s", f"{seconds['store']:.1f}"],
        [f"scoring all neurons with {drawn(size)}, s", f"{seconds['score']:.1f}"],
        ["the same for a million draws of a neuron, s", f"{store['score_seconds_per_million_draws']:.3f}"],
        ["choosing controls and summing their dense activations, s", f"{seconds['controls']:.1f}"],
        ["comparing with the pruned variant, s", f"{seconds['compare']:.1f}"],
        ["scoring, controls and comparison, s", f"{statistics_seconds(seconds):.1f}"],
        ["activations on disk, MB", f"{kept['activations'] / 1e6:.1f}"],
        ["bytes of a neuron at a token", f"{store['bytes_per_neuron_token']:.3f}"],
        ["everything else on disk, MB", f"{kept['tables'] / 1e6:.1f}"],
    ]
    return [
        f"An attribution of {size['layers']} x {size['neurons']} neurons, {size['texts']} texts of {size['tokens']} "
        f"tokens, {size['influential_tokens']} of them influential, and {size['variants']} variants:",
        table(["what", "measured"], rows),
    ]


def _reading_shown(reading: Mapping[str, Any]) -> list[str]:
    quantiles = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
    page, server = reading["page"], reading["server"]
    rows = [
        [f"document, {accept}", *(f"{one[key]:.1f}" for key in quantiles), f"{one['kilobytes']:.1f}"]
        for accept, one in reading["documents"].items()
    ]
    rows.append(["page, gzip", *(f"{page[key]:.1f}" for key in quantiles), f"{page['sent_kilobytes']:.1f}"])
    return [
        f"A random neuron of it from a server on loopback, in milliseconds: documents {reading['requests']} times at "
        f"{reading['rate']:g} requests a second whatever became of those before, pages one after another. A page is "
        f"{page['html_kilobytes']:.0f} kB of HTML; with its {page['files']:.0f} styles and scripts "
        f"{page['sent_with_files_kilobytes']:.0f} kB are sent before Plotly's. The server answered "
        f"{server['start_seconds']:.2f} s after its start and held {server['resident_mb']:.0f} MB at the end.",
        table(["what", "p50", "p95", "p99", "slowest", "kB sent"], rows),
    ]


if __name__ == "__main__":
    main()
