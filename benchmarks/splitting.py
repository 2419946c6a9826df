"""The cost of "why it changed" (`nsa/split/`) beside that of recording alone, for one variant.

    python -m benchmarks.splitting DENSE PRUNED [--task sst2] [--texts 40] [--data ../shared/datasets]

Each round records both models three times over the same texts: alone, with everything that the split needs, and alone
again. The number is the ratio of recording, split and divergences to the mean of recording alone before and after. The
steps:

    recording     both models' activations, MLP inputs, attention outputs at the influential tokens, decoder's results
    forms         which function each MLP computes, and the writers into every input dimension
    split         own and upstream parts, changed weights
    divergences   KL(dense || pruned) of the next token at every token

Scores, and the conversion of activations to the store's format, are the same with and without the split and are not
timed. The floor of the split is the time of the two products that no pass computes: the dense gate and up rows with the
variant's inputs, and the variant's with the dense inputs (`floor`, timed in every round as products alone).
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.clocks import CLOCKS
from benchmarks.machine import described, machine
from benchmarks.tables import insert, table
from prunescope.evaluation.prompts import task_texts
from prunescope.jobs.vocabulary import TASKS
from prunescope.lm.architecture import decoder_layers
from prunescope.lm.loading import LanguageModel, load
from prunescope.nsa.attribution import DENSE
from prunescope.nsa.matching import match
from prunescope.nsa.preparation import Options, Prepared, prepare, shape_of
from prunescope.nsa.recording import record
from prunescope.nsa.split.form import parts_of, pre_activations
from prunescope.nsa.split.heads import attention_of, heads_of, spool_influential
from prunescope.nsa.split.splitter import Splitter, inputs_of, last_of
from prunescope.nsa.texts import Text
from prunescope.store.attributions.writer import ActivationWriter

VARIANT = "pruned-1"
OPTIONS = Options(source="gradient", placebo=0, permutations=0, count_sinks=True)
STEPS = ("recording", "forms", "split", "divergences")

Clock = Callable[[], float]


class Timer:
    """Seconds by step. A step's time is that since the last call of `reset` or `took`."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.seconds = clock, dict.fromkeys(STEPS, 0.0)
        self.reset()

    def reset(self) -> None:
        self._began = self._clock()

    def took(self, step: str) -> None:
        now = self._clock()
        self.seconds[step] += now - self._began
        self._began = now


def quiet(_stage: str, _done: int, _total: int, _unit: str, _message: str = "") -> None:
    """Show no progress."""


def writer_of(folder: Path, lm: LanguageModel, prepared: Prepared) -> ActivationWriter:
    """A writer of the project's store for both models."""
    layers, neurons, _ = shape_of(lm.model)
    names = [DENSE, VARIANT]
    examples = [example.document() for example in prepared.examples]
    return ActivationWriter(
        folder, spec={}, variants=names, models=names, labels=names, examples=examples, layers=layers, neurons=neurons
    )


def alone(dense: LanguageModel, pruned: LanguageModel, prepared: Prepared, clock: Clock, folder: Path) -> float:
    """Seconds of recording both models' activations."""
    ids = [example.token_ids for example in prepared.examples]
    with writer_of(folder, dense, prepared) as writer:
        began = clock()
        for name, lm in ((DENSE, dense), (VARIANT, pruned)):
            record(lm.model, ids, partial(writer.write, name))
        return clock() - began


def whole(
    dense: LanguageModel, pruned: LanguageModel, prepared: Prepared, clock: Clock, folder: Path
) -> dict[str, float]:
    """Seconds of each of STEPS, with both models in memory."""
    ids = [example.token_ids for example in prepared.examples]
    with writer_of(folder, dense, prepared) as writer:
        timer = Timer(clock)
        heads = heads_of(dense.model)
        spool_heads = partial(spool_influential, writer, attention_of(DENSE), prepared.positions.influential)
        for name, lm in ((DENSE, dense), (VARIANT, pruned)):
            with_heads = heads is not None and name == DENSE
            record(
                lm.model,
                ids,
                partial(writer.write, name),
                receive_inputs=partial(writer.spool, inputs_of(name)),
                receive_last=partial(writer.spool, last_of(name), 0),
                attention=heads.outputs if heads else (),
                receive_attention=spool_heads if with_heads else None,
            )
        timer.took("recording")
        arrays = match(writer, DENSE, prepared, OPTIONS, shape_of(dense.model)[:2], dense.device, quiet).arrays
        for layer in prepared.layers:
            for _ in writer.blocks(VARIANT, layer):
                pass
        timer.reset()
        splitter = Splitter.of(dense, DENSE, writer, prepared, OPTIONS, heads)
        splitter.writers(dense, heads)
        timer.took("forms")
        splitter.measure(VARIANT, pruned, dense, arrays, quiet)
        timer.took("split")
        splitter.diverge(VARIANT, pruned, dense, arrays)
        timer.took("divergences")
        return timer.seconds


@torch.no_grad()
def floor(dense: LanguageModel, pruned: LanguageModel, prepared: Prepared, clock: Clock) -> float:
    """Seconds of the two products, of inputs in memory, for all layers."""
    tokens = len(prepared.positions.text)
    neurons = slice(0, shape_of(dense.model)[1])
    total = 0.0
    for pair in zip(decoder_layers(dense.model), decoder_layers(pruned.model), strict=True):
        parts = [parts_of(layer, neurons, dense.device, torch.float32) for layer in pair]
        inputs = torch.randn(tokens, parts[0][0][0].shape[1], device=dense.device)
        began = clock()
        for each in parts:
            pre_activations(each, inputs)
        total += clock() - began
    return total


def measure(
    dense: LanguageModel, pruned: LanguageModel, texts: Sequence[Text], rounds: int, clock: Clock, work: Path | None
) -> dict[str, Any]:
    """All rounds: seconds by step and ratios, as medians, and the ratios of each round."""
    prepared = prepare(dense, texts, OPTIONS, quiet)
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        alone(dense, pruned, prepared, clock, folder / "warm")
        recorded = [alone(dense, pruned, prepared, clock, folder / "first")]
        steps, floors, ratios = [], [], []
        for number in range(rounds):
            steps.append(whole(dense, pruned, prepared, clock, folder / f"whole-{number}"))
            floors.append(floor(dense, pruned, prepared, clock))
            recorded.append(alone(dense, pruned, prepared, clock, folder / f"alone-{number}"))
            ratios.append(sum(steps[-1].values()) / statistics.mean(recorded[-2:]))
    return {
        "texts": len(prepared.examples),
        "tokens": len(prepared.positions.text),
        "seconds": {
            "alone": statistics.median(recorded),
            **{step: statistics.median(each[step] for each in steps) for step in STEPS},
            "floor": statistics.median(floors),
        },
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The measurements as a table, and the ratio."""
    found = document["found"]
    seconds = found["seconds"]
    rows = [
        ["recording both models' activations alone", f"{seconds['alone']:.1f}"],
        ["recording with what the split needs", f"{seconds['recording']:.1f}"],
        ["forms of the MLPs, writers", f"{seconds['forms']:.1f}"],
        ["split, changed weights", f"{seconds['split']:.1f}"],
        ["of it: the two products that no pass computes (floor)", f"{seconds['floor']:.1f}"],
        ["divergences of the next token", f"{seconds['divergences']:.1f}"],
    ]
    return "\n\n".join(
        (
            f"`{document['command']}`, {document['clock']} time, one thread, on {document['machine']}.",
            f"{found['texts']} texts, {found['tokens']:,} tokens, one variant; medians, number of rounds: "
            f"{len(found['ratios'])}.",
            table(["step", "s"], rows),
            f"With everything it takes {found['ratio']:.2f} times recording alone (rounds: "
            f"{', '.join(f'{each:.2f}' for each in found['ratios'])}).",
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("dense")
    parser.add_argument("pruned")
    parser.add_argument("--task", default="sst2", choices=list(TASKS))
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu", help="cpu: on a CPU that is shared")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, help="temporary attributions go here")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    given = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dense, pruned = (load(name, device="cpu") for name in (given.dense, given.pruned))
        rows = task_texts(given.task, given.texts, 0, given.data)
        texts = [Text(row.text, row.label, None, row.before, row.after, TASKS[given.task]) for row in rows]
        found = measure(dense, pruned, texts, given.rounds, CLOCKS[given.clock], given.work)
    finally:
        torch.set_num_threads(threads)
    facts = machine(torch.device("cpu"))
    names = f"{Path(given.dense).name} {Path(given.pruned).name}"
    document = {
        "benchmark": "splitting",
        "command": f"python -m benchmarks.splitting {names} --task {given.task} --texts {given.texts} "
        f"--rounds {given.rounds}",
        "machine": facts,
        "clock": {"cpu": "processor", "wall": "wall"}[given.clock],
        "found": found,
    }
    lines = markdown({**document, "machine": described(facts)})
    print(lines)
    if given.document is not None:
        insert(given.document, "splitting cpu", lines)
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
