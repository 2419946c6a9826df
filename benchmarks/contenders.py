"""The implementations in the pruning benchmark: this project's methods, the published algorithm, and llm-compressor."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks import published_sparsegpt
from benchmarks.clocks import CLOCKS
from benchmarks.peer import Peer
from benchmarks.shapes import Shape
from benchmarks.stages import Stopwatch
from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.loading import load
from prunescope.pruning.patterns import NofM, Pattern, Unstructured
from prunescope.pruning.walk import prune

HALF, TWO_OF_FOUR = Unstructured(0.5), NofM(2, 4)
PUBLISHED, PEER = "published way", "llm-compressor"
Masks = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One of this project's methods, with its pattern and options."""

    method: str
    pattern: Pattern
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join([self.method, str(self.pattern), *map(str, self.options.values())])


PLACEBOS = frozenset({"random", "noise"})
"""Methods that are not measured: nobody prunes with a placebo, so its time is of no interest."""

CASES = (
    Case("magnitude", HALF),
    Case("wanda", HALF),
    Case("wanda", TWO_OF_FOUR),
    Case("ria", HALF),
    Case("ria", TWO_OF_FOUR),
    Case("ria", TWO_OF_FOUR, {"permutation": "reallocation"}),
    Case("sparsegpt", HALF),
    Case("sparsegpt", TWO_OF_FOUR),
)


@dataclass
class Contender:
    """One implementation to measure: `run` prunes once and returns the seconds and the masks."""

    name: str
    run: Callable[[], tuple[float, Masks]]
    same_as: str | None = None  # the name of our case that does the same work
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


class Bench:
    """One model and its windows, and the ways to prune it."""

    def __init__(self, shape: Shape, folder: Path, device: torch.device, clock: str = "wall") -> None:
        self.shape, self.folder, self.device = shape, folder, device
        self.windows = shape.windows()
        self._clock = CLOCKS[clock]
        self._dense = self.fresh()
        self.dtype = self._dense.dtype

    def fresh(self) -> PreTrainedModel:
        """The dense model in host memory."""
        model = load(self.folder, device=str(self.device), resident=False).model
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()  # into memory, so that the file is not read while time is measured
        return model

    @torch.no_grad()
    def forward(self) -> float:
        """Seconds of a plain forward pass of all windows, without the head."""
        body = self._dense.base_model.to(self.device)
        self._wait()
        began = self._clock()
        for some in self.windows.split(self.shape.batch):
            body(input_ids=some.to(self.device), use_cache=False)
        self._wait()
        seconds = self._clock() - began
        if self.device.type == "cuda":
            body.to("cpu")
        return seconds

    def ours(self, case: Case, watch: Stopwatch | None = None) -> tuple[float, Masks]:
        model = self.fresh()
        self._wait()
        with ExitStack() as watching:
            if watch is not None:
                watching.enter_context(watch.watching())
            began = self._clock()
            prune(
                model,
                case.method,
                case.pattern,
                self.windows,
                options=case.options,
                batch=self.shape.batch,
                device=self.device,
            )
            self._wait()
            seconds = self._clock() - began
        return seconds, self._masks(model)

    def published(self, pattern: Pattern) -> tuple[float, Masks]:
        model = self.fresh()
        self._wait()
        began = self._clock()
        published_sparsegpt.prune(model, pattern, self.windows, self.device)
        self._wait()
        return self._clock() - began, self._masks(model)

    def _masks(self, model: PreTrainedModel) -> Masks:
        layers = list(decoder_layers(model))[: self.shape.compared]
        return {
            f"{index}.{name}": weight_view(module).ne(0).cpu()
            for index, layer in enumerate(layers)
            for name, module in linears(layer).items()
        }

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def contenders(bench: Bench, peer: Peer | None) -> list[Contender]:
    """This project's cases, each followed by the other implementations that it is compared with."""
    found = []
    for case in CASES:
        found.append(Contender(case.name, partial(bench.ours, case)))
        if case.method == "sparsegpt":
            found.append(Contender(f"{PUBLISHED}: {case.name}", partial(bench.published, case.pattern), case.name))
        if peer is not None and case.method in ("wanda", "sparsegpt"):
            found.append(Contender(f"{PEER}: {case.name}", partial(_by_peer, peer, case), case.name))
    return found


def _by_peer(peer: Peer, case: Case) -> tuple[float, Masks]:
    seconds = peer.prune(case.method, case.pattern)
    weights = peer.weights().items()
    return seconds, {name.removeprefix("model.layers.").removesuffix(".weight"): w.ne(0) for name, w in weights}
