"""Measures how far a p-value of the fitted tail (`nsa.significance`) can be trusted.

    python -m benchmarks.tail demo --output benchmarks/results/tail-demo.json --document docs/results.md
    python -m benchmarks.tail MODEL --name NAME --task sst2 --data DIR --words occlusion --layers 0 15 29 --fits 0

For every law of the draws, a tail is fitted to --draws of them, many times. The value at which the tail's p is a level
is exceeded with a probability that is known for the law: its mean is the rate of false positives at that level. The
laws are some of known shape, and the neurons of a model: of each neuron, --known draws of placebo words are its law.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from benchmarks.machine import described, machine
from benchmarks.recorded import Recorded, rows_of_task
from benchmarks.tables import insert, table
from prunescope.lm.loading import load
from prunescope.nsa import placebo
from prunescope.nsa.attribution import DENSE
from prunescope.nsa.preparation import Options
from prunescope.nsa.significance import MIN_P, Tail, fit_tail
from prunescope.nsa.word_sets import by_token, half_sums, word_sets

FITS_AT_ONCE = 10_000
SAMPLES = 20
"""Fits to each neuron of a model."""
LEVELS = (1e-3, 1e-4, 1e-5, 1e-6)
LAWS = {
    "normal": stats.norm(),
    "gamma, shape 20": stats.gamma(20),
    "gamma, shape 2": stats.gamma(2),
    "exponential": stats.expon(),
    "lognormal, sigma 0.5": stats.lognorm(0.5),
    "lognormal, sigma 1": stats.lognorm(1),
    "Student, 5 degrees": stats.t(5),
    "Student, 3 degrees": stats.t(3),
}


Multiples = Float[np.ndarray, "items levels"]


@dataclass(frozen=True)
class Rate:
    """The rates of false positives at each of LEVELS, as multiples of the level."""

    law: str
    multiples: tuple[float, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.known < SAMPLES * options.draws:
        _parser().error(f"--known {options.known}: at least {SAMPLES * options.draws}, {SAMPLES} times the --draws")
    torch.set_num_threads(options.threads)
    facts = machine(torch.device("cpu"))
    print(described(facts), flush=True)
    rates = (
        [Rate(name, _of_law(law, options.draws, options.fits)) for name, law in LAWS.items()] if options.fits else []
    )
    rates += _of_neurons(options)
    document = {
        "benchmark": "tail",
        "command": _command(options),
        "machine": facts,
        "model": options.name or options.model,
        "draws": options.draws,
        "least": MIN_P,
        "levels": LEVELS,
        "rates": [vars(rate) for rate in rates],
    }
    text = markdown(document)
    print(text)
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.document:
        insert(options.document, f"tail {document['model']}", text)


def markdown(document: Mapping[str, Any]) -> str:
    """The rates as a Markdown table below the command."""
    rows = [[rate["law"], *(f"{multiple:.2f}" for multiple in rate["multiples"])] for rate in document["rates"]]
    return f"`{document['command']}`\n\n{table(('law', *(f'{level:g}' for level in document['levels'])), rows)}"


def critical(tail: Tail, level: float) -> Float[Tensor, " items"]:
    """The value at which the p of a tail is `level`, which must not be above the tail's share."""
    ratio = level / tail.share
    pareto = (ratio**-tail.shape - 1) / tail.shape.clamp(min=1e-12)
    beyond = torch.where(tail.shape > 1e-9, pareto, -np.log(ratio))
    return tail.threshold + tail.scale * beyond


def multiples(tail: Tail, survival: Callable[[Float[Tensor, " items"]], np.ndarray]) -> Multiples:
    """The rates of false positives at LEVELS, as multiples of the level; `survival` returns the known probabilities of
    values at least as large. Where no tail is fitted, no p is that small."""
    fitted = tail.fitted.numpy()
    rates = [np.where(fitted, survival(critical(tail, level)), 0) / level for level in LEVELS]
    return np.stack(rates, axis=1)


def _of_law(law: Any, draws: int, fits: int) -> tuple[float, ...]:
    rng = np.random.default_rng(1)
    found = []
    for done in range(0, fits, FITS_AT_ONCE):
        size = (draws, min(FITS_AT_ONCE, fits - done))
        tail = fit_tail(torch.from_numpy(law.rvs(size=size, random_state=rng)))
        assert tail is not None
        found.append(multiples(tail, lambda values: np.asarray(law.sf(values.numpy()))))
    return tuple(np.concatenate(found).mean(0).tolist())


def _of_neurons(options: argparse.Namespace) -> list[Rate]:
    """The rates for the sums of each neuron over placebo words, by fits to disjoint samples of its draws: the mean over
    the neurons, and the 99 % quantile."""
    lm = load(options.model)
    words = Options(source=options.words, placebo=options.draws, layers=options.layers and tuple(options.layers))
    recorded = Recorded.of(lm, rows_of_task(options.task, options.texts, options.data), words)
    positions = recorded.prepared.positions
    placebos = placebo.draws(recorded.prepared.words, positions, options.known, 0)
    sets = word_sets(positions, placebos, np.zeros(positions.texts, dtype=np.int64))
    found = []
    for layer in recorded.prepared.layers:
        ((_, values),) = recorded.archive.blocks(DENSE, layer)
        sums = half_sums(by_token(torch.from_numpy(values), "relu"), sets, positions).sets[0, 1:]
        survival = partial(_share_above, sums.sort(dim=0).values.T.contiguous())
        every = []
        for start in range(0, SAMPLES * options.draws, options.draws):
            tail = fit_tail(sums[start : start + options.draws])
            assert tail is not None
            every.append(multiples(tail, survival))
        found.append(np.mean(every, axis=0))
        print(f"layer {layer}", flush=True)
    of_neuron = np.concatenate(found)
    name = f"neurons of {options.name or options.model}"
    return [
        Rate(f"{name}, mean", tuple(of_neuron.mean(0).tolist())),
        Rate(f"{name}, 99 % quantile", tuple(np.quantile(of_neuron, 0.99, axis=0).tolist())),
    ]


def _share_above(ordered: Float[Tensor, "items known"], values: Float[Tensor, " items"]) -> np.ndarray:
    """The share of each item's sorted numbers that are at least a value."""
    below = torch.searchsorted(ordered, values[:, None].contiguous())[:, 0]
    share: np.ndarray = (1 - below / ordered.shape[1]).numpy()
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="demo or a folder")
    parser.add_argument("--name", help="the model's name in tables; default: the model")
    parser.add_argument("--task", default="reviews", help="its rows are the texts")
    parser.add_argument("--texts", type=int, default=40, help="number of texts")
    parser.add_argument("--words", default="gradient", help="source of the influential words")
    parser.add_argument("--layers", type=int, nargs="+", help="layers of the neurons; default: all")
    parser.add_argument("--data", type=Path, help="a folder with eval/ and calibration/")
    parser.add_argument("--draws", type=int, default=200, help="draws to which a tail is fitted")
    parser.add_argument("--fits", type=int, default=40_000, help="fits to each law of known shape; 0: neurons only")
    parser.add_argument("--known", type=int, default=20_000, help="draws of placebo words")
    parser.add_argument("--threads", type=int, default=1, help="threads of the computation")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    return parser


def _command(options: argparse.Namespace) -> str:
    """The benchmark's command line, without default values and paths."""
    more = ""
    for name, value in vars(options).items():
        if name in ("model", "name", "output", "document") or value == _parser().get_default(name):
            continue
        shown = "DIR" if name == "data" else " ".join(map(str, value)) if isinstance(value, list) else str(value)
        more += f" --{name} {shown}"
    return f"python -m benchmarks.tail {options.name or options.model}{more}"


if __name__ == "__main__":
    main()
