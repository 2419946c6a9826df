"""Measures how often the statistics of an attribution call something significant where there is nothing to find.

    python -m benchmarks.calibration demo --output benchmarks/results/calibration-demo.json --document docs/results.md
    python -m benchmarks.calibration MODEL --task sst2 --data DIR --name SmolLM2 --trials 40 --seeds 4 --causal 0

Three null hypotheses, each at a nominal level of 5 %:

    random words   words drawn at random take the place of the influential ones: the share of neurons with p < 0.05 and
                   with q < 0.05, and the share of word sets with p < 0.05 for "top neurons fell further than controls"
                   in every pruned model
    placebos       the influential words are real, and a model with a random mask or with noise takes the place of a
                   pruned one (methods `random` and `noise`, several seeds): the share of models with p < 0.05
    random sets    random sets of neurons take the place of the top neurons in the causal test
                   (`benchmarks.placebo_sets`)
"""

import argparse
import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import described, machine
from benchmarks.placebo_sets import Ablations, Task, rates
from benchmarks.recorded import Recorded, rows_of_task
from benchmarks.tables import insert, table
from prunescope.evaluation.accuracy import questionnaires
from prunescope.lm.architecture import context_length
from prunescope.lm.loading import LanguageModel, load
from prunescope.nsa.causal import output_norms
from prunescope.nsa.counted import CountedTokens
from prunescope.nsa.preparation import Options
from prunescope.pruning.calibration import calibration_windows
from prunescope.pruning.patterns import parse_pattern
from prunescope.pruning.walk import prune

NOMINAL, ACCEPTED = 0.05, 0.07
WAYS = (("wanda", "0.5"), ("wanda", "2:4"))
PLACEBOS = (("random", "0.1"), ("noise", "0.5"))
CONTROLS = ("activation-matched", "random")


@dataclass(frozen=True)
class Share:
    """The share of `trials` in which p was below the nominal level; for neurons the mean share over the trials."""

    null: str
    what: str
    value: float
    trials: int

    @property
    def kept(self) -> bool:
        """Whether the share is at most the accepted one."""
        return self.value <= ACCEPTED


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    facts = machine(torch.device("cpu"))
    print(described(facts), flush=True)
    lm = load(options.model)
    began = time.monotonic()
    words = Options(source=options.words, placebo=options.placebo, seed=0)
    recorded = Recorded.of(lm, rows_of_task(options.task, options.texts, options.data), words)
    shares = [*_random_words(recorded, options), *_placebos(recorded, options), *_random_sets(recorded, options)]
    document = {
        "benchmark": "calibration",
        "command": _command(options),
        "machine": facts,
        "model": options.name or options.model,
        "seconds": round(time.monotonic() - began, 1),
        "nominal": NOMINAL,
        "accepted": ACCEPTED,
        "shares": [{**vars(share), "kept": share.kept} for share in shares],
    }
    text = markdown(document)
    print(text)
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.document:
        insert(options.document, f"calibration {document['model']}", text)


def markdown(document: Mapping[str, Any]) -> str:
    """The shares as a Markdown table below the command."""
    rows = [
        [share["null"], share["what"], f"{share['value']:.1%}", str(share["trials"]), "yes" if share["kept"] else "no"]
        for share in document["shares"]
    ]
    head = ("null hypothesis", "p < 0.05 for", "share", "trials", f"at most {document['accepted']:.0%}")
    return f"`{document['command']}` ({document['seconds']:.0f} s)\n\n{table(head, rows)}"


def _random_words(recorded: Recorded, options: argparse.Namespace) -> list[Share]:
    """The shares of neurons and of headlines with random words, for every way of pruning and every placebo."""
    folders = dict(each.split("=", 1) for each in options.pruned)
    variants = [" ".join(way) for way in (*WAYS, *PLACEBOS)]
    for way, name in zip((*WAYS, *PLACEBOS), variants, strict=True) if options.trials else ():
        recorded.add(name, load(folders[name]) if name in folders else _pruned(recorded.lm, *way, 0, options))
        print(f"recorded {name}", flush=True)
    neurons: dict[str, list[float]] = {"p": [], "q": []}
    headlines: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in variants for kind in CONTROLS}
    for trial in range(options.trials):
        prepared = recorded.with_random_words(np.random.default_rng([7, trial]))
        found, base = recorded.scored(prepared, trial)
        ranked = found.arrays["rank"] > 0
        for kind, name in (("p", "p_value"), ("q", "q_value")):
            neurons[kind].append(float((found.arrays[name][ranked] < NOMINAL).mean()))
        for name in variants:
            for kind, p in zip(CONTROLS, recorded.headline(name, prepared, base).p_values, strict=True):
                headlines[name, kind].append(np.nan if p is None else p)
        print(f"words {trial + 1} of {options.trials}: {neurons['p'][-1]:.1%} of neurons", flush=True)
    shares = {
        **{f"neurons ({kind})": np.array(values) for kind, values in neurons.items()},
        **{
            f"{name}: top neurons fell further than {kind} controls": np.array(values) < NOMINAL
            for (name, kind), values in headlines.items()
        },
    }
    return [
        Share("random words", what, float(values.mean()), options.trials)
        for what, values in shares.items()
        if len(values)
    ]


def _placebos(recorded: Recorded, options: argparse.Namespace) -> list[Share]:
    """The shares of placebo models with a headline, with the real influential words."""
    if not options.seeds:
        return []
    _, base = recorded.scored(recorded.prepared, 0)
    shares = []
    for method, pattern in PLACEBOS:
        few: dict[str, list[bool]] = {kind: [] for kind in CONTROLS}
        for seed in range(1, options.seeds + 1):
            recorded.add("placebo", _pruned(recorded.lm, method, pattern, seed, options))
            found = recorded.headline("placebo", recorded.prepared, base).p_values
            for kind, p in zip(CONTROLS, found, strict=True):
                few[kind].append(p is not None and p < NOMINAL)
            print(f"{method} {pattern}, seed {seed}: p = {found}", flush=True)
        shares += [
            Share(
                f"{method} {pattern}",
                f"top neurons fell further than {kind} controls",
                float(np.mean(each)),
                options.seeds,
            )
            for kind, each in few.items()
        ]
    return shares


def _random_sets(recorded: Recorded, options: argparse.Namespace) -> list[Share]:
    """The shares of random sets of neurons that the causal test calls causal."""
    if not options.causal:
        return []
    lm = recorded.lm
    found, _ = recorded.scored(recorded.prepared, 0)
    layers = recorded.prepared.layers
    means = np.stack([recorded.archive.kept("spread/dense", layer)[:, 0] for layer in layers])
    assert lm.tokenizer is not None
    rows = questionnaires([options.task], data=options.data, limit=options.causal_rows)[options.task]
    ablations = Ablations(lm, Task(options.task, rows), means, CountedTokens(lm.model, lm.tokenizer.all_special_ids))
    sizes = found.arrays["deviation"] * output_norms(lm.model)
    shares = []
    for neurons in options.causal_neurons:
        some = rates(ablations, found.arrays["rank"], sizes, neurons=neurons, trials=options.causal, draws=19)
        shares.append(Share("random sets", f"{neurons} neurons, draws from all", some["all"], options.causal))
        shares.append(Share("random sets", f"{neurons} neurons, draws from the rest", some["rest"], options.causal))
        print(f"{neurons} neurons: {some}", flush=True)
    return shares


def _pruned(lm: LanguageModel, method: str, pattern: str, seed: int, options: argparse.Namespace) -> LanguageModel:
    """A pruned copy of the model, in memory. The seed is that of a placebo's draws."""
    windows = calibration_windows(
        options.calibration,
        lm.tokenizer,
        samples=options.samples,
        seqlen=options.seqlen,
        context=context_length(lm.model),
        data=options.data,
    )
    made = replace(lm, model=copy.deepcopy(lm.model))
    named = {"seed": seed} if (method, pattern) in PLACEBOS else {}
    prune(made.model, method, parse_pattern(pattern), windows.windows, lengths=windows.lengths, options=named)
    return made


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="demo or a folder")
    parser.add_argument("--name", help="the model's name in tables; default: the model")
    parser.add_argument("--task", default="reviews", help="its rows are the texts")
    parser.add_argument("--texts", type=int, default=40, help="number of texts")
    parser.add_argument("--words", default="gradient", help="source of the influential words")
    parser.add_argument("--placebo", type=int, default=200, help="draws of placebo words")
    parser.add_argument("--trials", type=int, default=100, help="sets of random words")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of every placebo model")
    parser.add_argument("--causal", type=int, default=40, help="random sets of neurons in the causal test")
    parser.add_argument("--causal-neurons", type=int, nargs="+", default=[1000], help="sizes of the sets")
    parser.add_argument("--causal-rows", type=int, default=8, help="rows of the task in the causal test")
    parser.add_argument("--pruned", nargs="*", default=[], help='pruned models that exist: "wanda 0.5=FOLDER"')
    parser.add_argument("--calibration", default="demo", help="calibration set of the pruned models")
    parser.add_argument("--samples", type=int, default=32, help="calibration windows")
    parser.add_argument("--seqlen", type=int, default=128, help="tokens of a window")
    parser.add_argument("--data", type=Path, help="a folder with eval/ and calibration/")
    parser.add_argument("--threads", type=int, default=2, help="threads of the computation")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    return parser.parse_args(arguments)


def _command(options: argparse.Namespace) -> str:
    data = " --data DIR" if options.data else ""
    named = f"python -m benchmarks.calibration {options.name or options.model}"
    counts = f"--texts {options.texts} --placebo {options.placebo} --trials {options.trials} --seeds {options.seeds}"
    return f"{named} --task {options.task} --words {options.words} {counts} --causal {options.causal}{data}"


if __name__ == "__main__":
    main()
