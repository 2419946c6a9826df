"""Measures a model's perplexity on held-out text, dense and pruned with each method, for the usual patterns.

    python -m benchmarks.perplexity demo
    python -m benchmarks.perplexity ../shared/models/stories260K --text generated

Perplexity is computed as by `prunescope evaluate --perplexity` (`evaluation/perplexity.py`). Calibration text and
held-out text are disjoint.

`--text generated` is for a model without suitable text: calibration and held-out windows are sampled from the dense
model itself (temperature 1, different seeds). On such text no model can be better than the dense one, and log(pruned
perplexity / dense perplexity) estimates KL(dense || pruned) in nats per token.
"""

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from scipy import stats
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.machine import machine
from benchmarks.tables import insert, table
from prunescope.evaluation.held_out import held_out_windows
from prunescope.evaluation.perplexity import perplexity, window_nlls
from prunescope.lm.architecture import context_length
from prunescope.lm.errors import BadPattern
from prunescope.lm.loading import LanguageModel, choose_device, load
from prunescope.pruning.calibration import calibration_windows
from prunescope.pruning.patterns import NofM, Pattern, Unstructured
from prunescope.pruning.walk import prune

GENERATED = "generated"
MAGNITUDE = "magnitude"
REVIEWS = "demo/reviews.jsonl"
AT_ONCE = 4096  # tokens
SEEDS = 3
PATTERNS: tuple[Pattern, ...] = (Unstructured(0.5), NofM(4, 8), NofM(2, 4))
HELD_OUT_SEED = 1_000_003  # different from any calibration seed


@dataclass(frozen=True)
class Row:
    """A row of the table: a method with its options; `groups`: whether they apply to n:m patterns only."""

    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    groups: bool = False

    @property
    def name(self) -> str:
        return ", ".join([self.method, *map(str, self.options.values())])


ROWS = (
    Row("magnitude"),
    Row("wanda"),
    Row("ria"),
    Row("ria", {"permutation": "reallocation"}, groups=True),
    Row("sparsegpt"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    device = choose_device(options.device)
    dense = load(options.model, device=options.device)
    held_out = _held_out(dense, options)
    measured: dict[str, dict[str, list[float]]] = {}
    moved: dict[str, dict[str, list[float]]] = {}
    ahead: dict[str, dict[str, list[Beside]]] = {}
    magnitude: dict[str, list[float]] = {}
    before = perplexity(dense.model, held_out).perplexity
    print(f"dense {before:.3f} on {held_out.shape[0]} windows of {held_out.shape[1]} tokens", flush=True)
    for seed in range(options.seeds):
        windows = _calibration(dense, options, seed)
        for row in ROWS:
            for pattern in PATTERNS:
                if (row.groups and not isinstance(pattern, NofM)) or (row.method == "magnitude" and seed):
                    continue
                model = load(options.model, device=options.device).model
                try:
                    prune(model, row.method, pattern, windows, options=row.options, device=device)
                except BadPattern as error:  # 4:8 on stories260K, whose MLP has 172 neurons
                    print(f"seed {seed}  {row.name}  {pattern}  left out: {error}")
                    continue
                losses = _losses(model, held_out)
                found = math.exp(statistics.fmean(losses))
                if row.method == MAGNITUDE:
                    magnitude[str(pattern)] = losses
                else:
                    ahead.setdefault(row.name, {}).setdefault(str(pattern), []).append(
                        beside(losses, magnitude[str(pattern)])
                    )
                shift = distance(dense.model, model, held_out)
                measured.setdefault(row.name, {}).setdefault(str(pattern), []).append(found)
                moved.setdefault(row.name, {}).setdefault(str(pattern), []).append(shift)
                print(f"seed {seed}  {row.name}  {pattern}  {found:.3f}  moved {shift:.4f}", flush=True)
    name = _name(options.model)
    document = {
        "benchmark": "perplexity",
        "command": _command(options),
        "machine": machine(device),
        "model": {"name": name, "parameters": dense.model.num_parameters()},
        "text": {"source": options.text, "windows": list(held_out.shape)},
        "calibration": {"source": _source(options), "windows": list(windows.shape), "seeds": options.seeds},
        "dense": before,
        "perplexity": measured,
        "hidden_state_moved": moved,
        "loss_beside_magnitude": {
            name: {pattern: [asdict(each) for each in some] for pattern, some in found.items()}
            for name, found in ahead.items()
        },
    }
    lines = markdown(document)
    print(f"\n{lines}")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    if options.document:
        insert(options.document, f"perplexity {name}", lines)


@dataclass(frozen=True)
class Beside:
    """A paired comparison of a method's loss with magnitude's on the same windows: the mean difference in nats per
    token, its 95 % interval, and the number of windows with a lower loss."""

    difference: float
    low: float
    high: float
    better: int
    windows: int


def beside(losses: Sequence[float], magnitude: Sequence[float]) -> Beside:
    """Student's paired interval over the windows."""
    apart = [own - other for own, other in zip(losses, magnitude, strict=True)]
    low, high = stats.ttest_1samp(apart, 0.0).confidence_interval(0.95)
    return Beside(statistics.fmean(apart), float(low), float(high), sum(each < 0 for each in apart), len(apart))


def _losses(model: PreTrainedModel, windows: Int[Tensor, "samples tokens"]) -> list[float]:
    return [
        loss for some in windows.split(max(1, AT_ONCE // windows.shape[1])) for loss in window_nlls(model, list(some))
    ]


@torch.no_grad()
def distance(dense: PreTrainedModel, pruned: PreTrainedModel, windows: Int[Tensor, "samples tokens"]) -> float:
    """||H' - H|| / ||H||, where H are the final hidden states (the head's inputs) at all tokens of the windows."""
    apart = size = 0.0
    for some in windows.split(max(1, AT_ONCE // windows.shape[1])):
        before, after = (
            model.base_model(input_ids=some.to(model.device), use_cache=False).last_hidden_state.float()
            for model in (dense, pruned)
        )
        apart += float((after - before).square().sum())
        size += float(before.square().sum())
    return math.sqrt(apart / size)


def markdown(document: Mapping[str, Any]) -> str:
    """Format the results: a table with the mean over calibration seeds (minimum and maximum in brackets), and the
    losses compared with magnitude's."""
    patterns = [str(pattern) for pattern in PATTERNS]
    rows = [["dense", *[f"{document['dense']:.2f}"] * len(patterns), ""]]
    for name, found in document["perplexity"].items():
        moved = document["hidden_state_moved"][name]
        shift = " / ".join(f"{statistics.mean(moved[p]):.1%}" if p in moved else "-" for p in patterns)
        rows.append([name, *(_shown(found.get(pattern, [])) for pattern in patterns), shift])
    text, calibration = document["text"], document["calibration"]
    seeds = calibration["seeds"]
    spread = f"; mean of {seeds} seeds, the least and the most in brackets" if seeds > 1 else ""
    about = (
        f"`{document['command']}`: perplexity of {document['model']['name']} ({document['model']['parameters']:,} "
        f"parameters) on {text['windows'][0]} windows of {text['windows'][1]} tokens ({text['source']}); calibration "
        f"{calibration['windows'][0]} windows of {calibration['windows'][1]} tokens ({calibration['source']}){spread}. "
        f"Last column: how far the last hidden state moved on the held-out windows, relative to its size."
    )
    whole = f"{about}\n\n{table(['method', *patterns, 'moved, ' + ' / '.join(patterns)], rows)}"
    return f"{whole}\n\n{_beside_magnitude(document, patterns)}"


def _beside_magnitude(document: Mapping[str, Any], patterns: Sequence[str]) -> str:
    rows = []
    for name, found in document["loss_beside_magnitude"].items():
        rows.append([name, *("; ".join(map(_shown_beside, found.get(pattern, []))) or "-" for pattern in patterns)])
    about = (
        "Loss minus magnitude's on the same windows, in nats a token, with a 95 % interval over the windows "
        "(Student's, paired), and how many of them are the better for it; one value for each seed:"
    )
    return f"{about}\n\n{table(['method', *patterns], rows)}"


def _shown_beside(found: Mapping[str, Any]) -> str:
    interval = f"{found['low']:+.4f} to {found['high']:+.4f}"
    return f"{found['difference']:+.4f} ({interval}), {found['better']} of {found['windows']}"


def _shown(values: Sequence[float]) -> str:
    match values:
        case []:
            return "-"
        case [value]:
            return f"{value:.2f}"
        case _:
            return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Perplexity before and after pruning.")
    parser.add_argument("model", nargs="?", default="demo", help="demo, a folder or a hub id")
    texts = f"held-out text: wikitext2, ptb, c4, a .txt or .jsonl file, or {GENERATED}"
    parser.add_argument("--text", default=REVIEWS, help=texts)
    parser.add_argument("--calibration", default="demo", help="a set or a file, where the text is not generated")
    parser.add_argument("--data", type=Path, help="local data, as for `prunescope prune`")
    parser.add_argument("--samples", type=int, default=128, help="calibration windows")
    parser.add_argument("--seqlen", type=int, default=256, help="tokens of every window")
    parser.add_argument("--held-out", type=int, default=256, help="held-out windows at most")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="calibrations to take the mean over")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    return parser.parse_args(arguments)


def _held_out(dense: LanguageModel, options: argparse.Namespace) -> Int[Tensor, "samples tokens"]:
    if options.text == GENERATED:
        return generated(dense, options.held_out, options.seqlen, HELD_OUT_SEED)
    text = "demo" if options.text == REVIEWS else options.text
    return held_out_windows(
        dense, text, seqlen=options.seqlen, windows=options.held_out, data=options.data, bos="never"
    ).windows


def _calibration(dense: LanguageModel, options: argparse.Namespace, seed: int) -> Int[Tensor, "samples tokens"]:
    if options.text == GENERATED:
        return generated(dense, options.samples, options.seqlen, seed)
    return calibration_windows(
        options.calibration,
        dense.tokenizer,
        context=context_length(dense.model),
        samples=options.samples,
        seqlen=options.seqlen,
        seed=seed,
        bos="never",
        data=options.data,
    ).windows


@torch.no_grad()
def generated(dense: LanguageModel, samples: int, tokens: int, seed: int) -> Int[Tensor, "samples tokens"]:
    """Sample windows from the model's own distribution, each after the BOS token."""
    device = dense.model.device
    generator = torch.Generator(device).manual_seed(seed)
    ids = torch.full((samples, 1), dense.model.config.bos_token_id, device=device)
    step, cache = ids, None
    while ids.shape[1] < tokens:
        output = dense.model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        step = torch.multinomial(output.logits[:, -1].float().softmax(dim=-1), 1, generator=generator)
        ids = torch.cat([ids, step], dim=1)
    return ids.cpu()


def _source(options: argparse.Namespace) -> str:
    return str(options.text if options.text == GENERATED else _name(options.calibration))


def _name(reference: str) -> str:
    return reference.rstrip("/").rpartition("/")[2]


def _command(options: argparse.Namespace) -> str:
    text = "" if options.text == REVIEWS else f" --text {options.text}"
    seeds = "" if options.seeds == SEEDS else f" --seeds {options.seeds}"
    return f"python -m benchmarks.perplexity {options.model}{text}{seeds}"


if __name__ == "__main__":
    main()
