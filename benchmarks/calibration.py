"""Measures how often the statistics of an attribution call something significant where there is nothing to find.

    python -m benchmarks.calibration demo --output benchmarks/results/calibration-demo.json --document docs/results.md
    python -m benchmarks.calibration MODEL --task sst2 --data DIR --name SmolLM2 --trials 40 --seeds 4 --causal 0

First the real words: the neurons with p and q below 0.05, and how much further the top neurons fell than their
controls, beside the placebo draws. Then three null hypotheses, each at a nominal level of 5 %:

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
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from prunescope.nsa.statistics import MEAN
from prunescope.pruning.calibration import calibration_windows
from prunescope.pruning.patterns import parse_pattern
from prunescope.pruning.walk import prune

NOMINAL, ACCEPTED = 0.05, 0.07
WAYS = (("wanda", "0.5"), ("wanda", "2:4"))
PLACEBOS = (("random", "0.1"), ("noise", "0.5"))
CONTROLS = ("activation-matched", "random")


@dataclass(frozen=True)
class Share:
    """The share of `trials` in which p was below the nominal level; for neurons the mean share over the trials.
    `p_values`: those of the headlines, which are uniform on 0 to 1 under an exact null hypothesis."""

    null: str
    what: str
    value: float
    trials: int
    p_values: tuple[float, ...] = ()

    @classmethod
    def of_headlines(cls, null: str, what: str, p_values: Sequence[float | None]) -> "Share":
        """The share of headlines whose p is below the nominal level; an undefined p is not."""
        known = tuple(p for p in p_values if p is not None)
        return cls(null, what, sum(p < NOMINAL for p in known) / len(p_values), len(p_values), known)

    @property
    def kept(self) -> bool:
        """Whether the share is at most the accepted one."""
        return self.value <= ACCEPTED


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    facts = machine(torch.device("cpu"))
    print(described(facts), flush=True)
    lm = load(options.model)
    began = time.monotonic()
    layers = None if options.layers is None else tuple(options.layers)
    words = Options(source=options.words, placebo=options.placebo, layers=layers, seed=0)
    recorded = Recorded.of(lm, rows_of_task(options.task, options.texts, options.data), words)
    for name, lm_of in _variants(lm, options):
        recorded.add(name, lm_of())
        print(f"recorded {name}", flush=True)
    observed = _observed(recorded)
    shares = [*_random_words(recorded, options), *_placebos(recorded, options), *_random_sets(recorded, options)]
    document = {
        "benchmark": "calibration",
        "command": _command(options),
        "machine": facts,
        "model": options.name or options.model,
        "seconds": round(time.monotonic() - began, 1),
        "nominal": NOMINAL,
        "accepted": ACCEPTED,
        "observed": observed,
        "shares": [{**vars(share), "kept": share.kept} for share in shares],
    }
    text = markdown(document)
    print(text)
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.document:
        insert(options.document, f"calibration {document['model']}", text)


def _verdict(share: Mapping[str, Any], accepted: float) -> str:
    """Whether the share is at most the accepted one. Headlines are few: a share above it says so only if an accepted
    rate gives as many in less than 5 % of cases."""
    if share["kept"]:
        return "yes"
    trials, found = share["trials"], round(share["value"] * share["trials"])
    fewer = sum(math.comb(trials, n) * accepted**n * (1 - accepted) ** (trials - n) for n in range(found))
    return "too few trials to tell" if share["p_values"] and 1 - fewer >= 0.05 else "no"


def markdown(document: Mapping[str, Any]) -> str:
    """The numbers of the real words and the shares as Markdown tables below the command."""
    seen = document["observed"]
    drops = [
        [
            name,
            f"{100 * one['difference']:.1f} points",
            f"{one['p']:.2g}",
            f"{100 * one['placebo_mean']:.1f} ± {100 * one['placebo_deviation']:.1f} points",
            f"{one['placebo_above_zero']:.0%}",
        ]
        for name, one in seen["headlines"].items()
    ]
    rows = [
        [
            share["null"],
            share["what"],
            f"{share['value']:.1%}",
            f"{np.mean(share['p_values']):.2f}" if share["p_values"] else "",
            str(share["trials"]),
            _verdict(share, document["accepted"]),
        ]
        for share in document["shares"]
    ]
    head = ("null hypothesis", "p < 0.05 for", "share", "mean p", "trials", f"at most {document['accepted']:.0%}")
    return "\n\n".join(
        [
            f"`{document['command']}` ({document['seconds']:.0f} s)",
            f"With the real words, {seen['p']:,} of {seen['ranked']:,} ranked neurons have p < 0.05, and {seen['q']:,} "
            "have q < 0.05. Top neurons beside activation-matched controls:",
            table(("variant", "difference", "p", "placebo words' difference", "of these, above zero"), drops),
            "Where there is nothing to find:",
            table(head, rows),
        ]
    )


def _variants(lm: LanguageModel, options: argparse.Namespace) -> list[tuple[str, Callable[[], LanguageModel]]]:
    """Every way of pruning and every placebo, by name, with a function that returns the model."""
    folders = dict(each.split("=", 1) for each in options.pruned)
    return [
        (name, partial(load, folders[name]) if name in folders else partial(_pruned, lm, *way, 0, options))
        for way in (*WAYS, *PLACEBOS)
        for name in [" ".join(way)]
    ]


def _observed(recorded: Recorded) -> dict[str, Any]:
    """The numbers of neurons with a small p and q, and the headline of every variant, with the real words."""
    found, base = recorded.scored(recorded.prepared, 0)
    ranked = found.arrays["rank"] > 0
    headlines = {}
    for name in recorded.variants:
        apart = recorded.headline(name, recorded.prepared, base)
        drawn = apart.placebo[:, 0][np.isfinite(apart.placebo[:, 0])]
        headlines[name] = {
            "difference": apart.observed[0],
            "p": apart.p_values[0],
            "placebo_mean": float(drawn.mean()),
            "placebo_deviation": float(drawn.std(ddof=1)),
            "placebo_above_zero": float((drawn > 0).mean()),
        }
    few = {
        kind: int((found.arrays[name][ranked] < NOMINAL).sum()) for kind, name in (("p", "p_value"), ("q", "q_value"))
    }
    return {"ranked": int(ranked.sum()), **few, "headlines": headlines}


def _random_words(recorded: Recorded, options: argparse.Namespace) -> list[Share]:
    """The shares of neurons and of headlines with random words, for every way of pruning and every placebo."""
    if not options.trials:
        return []
    neurons: dict[str, list[float]] = {"p": [], "q": []}
    headlines: dict[tuple[str, str], list[float | None]] = {
        (name, kind): [] for name in recorded.variants for kind in CONTROLS
    }
    began = time.monotonic()
    for trial in range(options.trials):
        if time.monotonic() - began > 60 * options.minutes:
            break
        prepared = recorded.with_random_words(np.random.default_rng([7, trial]))
        found, base = recorded.scored(prepared, trial)
        ranked = found.arrays["rank"] > 0
        for kind, array in (("p", "p_value"), ("q", "q_value")):
            neurons[kind].append(float((found.arrays[array][ranked] < NOMINAL).mean()))
        for name in recorded.variants:
            for kind, p in zip(CONTROLS, recorded.headline(name, prepared, base).p_values, strict=True):
                headlines[name, kind].append(p)
        print(f"words {trial + 1} of {options.trials}: {neurons['p'][-1]:.1%} of neurons", flush=True)
    return [
        *(
            Share("random words", f"neurons ({kind})", float(np.mean(values)), len(values))
            for kind, values in neurons.items()
        ),
        *(
            Share.of_headlines("random words", f"{name}: top neurons fell further than {kind} controls", values)
            for (name, kind), values in headlines.items()
        ),
    ]


def _placebos(recorded: Recorded, options: argparse.Namespace) -> list[Share]:
    """The shares of placebo models with a headline, with the real influential words."""
    if not options.seeds:
        return []
    _, base = recorded.scored(recorded.prepared, 0)
    shares = []
    for method, pattern in PLACEBOS:
        found: dict[str, list[float | None]] = {kind: [] for kind in CONTROLS}
        for seed in range(1, options.seeds + 1):
            name = f"{method}, seed {seed}"
            recorded.add(name, _pruned(recorded.lm, method, pattern, seed, options))
            p_values = recorded.headline(name, recorded.prepared, base).p_values
            recorded.remove(name)
            for kind, p in zip(CONTROLS, p_values, strict=True):
                found[kind].append(p)
            print(f"{method} {pattern}, seed {seed}: p = {p_values}", flush=True)
        shares += [
            Share.of_headlines(f"{method} {pattern}", f"top neurons fell further than {kind} controls", each)
            for kind, each in found.items()
        ]
    return shares


def _random_sets(recorded: Recorded, options: argparse.Namespace) -> list[Share]:
    """The shares of random sets of neurons that the causal test calls causal."""
    if not options.causal:
        return []
    lm = recorded.lm
    found, _ = recorded.scored(recorded.prepared, 0)
    means = np.full(found.arrays["rank"].shape, np.nan)
    for layer in recorded.prepared.layers:
        means[layer] = recorded.archive.kept("spread/dense", layer)[:, MEAN]
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="demo or a folder")
    parser.add_argument("--name", help="the model's name in tables; default: the model")
    parser.add_argument("--task", default="reviews", help="its rows are the texts")
    parser.add_argument("--texts", type=int, default=40, help="number of texts")
    parser.add_argument("--words", default="gradient", help="source of the influential words")
    parser.add_argument("--placebo", type=int, default=200, help="draws of placebo words")
    parser.add_argument("--layers", type=int, nargs="+", help="layers of the neurons; default: all")
    parser.add_argument("--trials", type=int, default=100, help="sets of random words")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no further set of random words after these")
    parser.add_argument("--seeds", type=int, default=40, help="seeds of every placebo model")
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
    return parser


def _command(options: argparse.Namespace) -> str:
    """The benchmark's command line, without default values and paths."""
    default, more = _parser().get_default, ""
    for name, value in vars(options).items():
        if name in ("model", "name", "output", "document") or value == default(name):
            continue
        match name:
            case "data":
                shown = "DIR"
            case "pruned":
                shown = " ".join(f'"{each.split("=")[0]}=FOLDER"' for each in value)
            case _:
                shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        more += f" --{name.replace('_', '-')} {shown}"
    return f"python -m benchmarks.calibration {options.name or options.model}{more}"


if __name__ == "__main__":
    main()
