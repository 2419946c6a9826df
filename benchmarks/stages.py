"""Measures the time of each stage of pruning, by wrapping the functions that do the work.

A stage's time excludes other stages inside it. The functions are replaced during the `with` block. On a GPU each
boundary waits for the device, so a run with a stopwatch is slower than a plain one, and its total time is not reported.
"""

import functools
import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from benchmarks.clocks import CLOCKS

REST = "everything else"

# stage: the functions, as module:name, where their callers look them up.
PLACES: dict[str, tuple[str, ...]] = {
    "forward": ("prunescope.pruning.walk:capture", "prunescope.pruning.capture:_Run.__call__"),
    "squares of the inputs": ("prunescope.pruning.statistics:InputNorms.add",),
    "Hessian product": ("prunescope.pruning.hessian:Hessian.add",),
    "factorisation": ("prunescope.pruning.hessian:Hessian.matrix", "prunescope.pruning.methods.sparsegpt:factorise"),
    "scores": (
        "prunescope.pruning.methods.magnitude:Magnitude.decide",
        "prunescope.pruning.methods.wanda:Wanda.decide",
        "prunescope.pruning.methods.ria:RIA.decide",
    ),
    "sort or threshold": (
        "prunescope.pruning.methods.magnitude:keep_by_matrix",
        "prunescope.pruning.methods.wanda:keep_by_row",
        "prunescope.pruning.methods.ria:keep_by_matrix",
        "prunescope.pruning.methods.ria:keep_n_of_m",
        "prunescope.pruning.methods.sparsegpt:keep_by_matrix",
        "prunescope.pruning.methods.sparsegpt:lowest",
    ),
    "order of the columns": ("prunescope.pruning.methods.ria:reallocated", "prunescope.pruning.methods.ria:assigned"),
    "column loop": ("prunescope.pruning.methods.sparsegpt:SparseGPT.decide",),
    "write, verify, measure the error": ("prunescope.pruning.walk:carry_out",),
    "to the device and back": ("prunescope.pruning.visit:Visit.__enter__", "prunescope.pruning.visit:Visit.settle"),
}


class Stopwatch:
    """Seconds of each stage, excluding nested stages."""

    def __init__(self, device: torch.device, clock: str = "wall") -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device
        self._clock = CLOCKS[clock]
        self._open: list[str] = []
        self._mark = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time everything inside the block."""
        with ExitStack() as replaced:
            for stage, places in PLACES.items():
                for place in places:
                    replaced.enter_context(_replaced(place, functools.partial(self._timed, stage)))
            self._turn()
            self._open.append(REST)
            try:
                yield
            finally:
                self._turn()
                self._open.clear()

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._open.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._open.pop()

        return timed

    def _turn(self) -> None:
        """Give the time since the last boundary to the innermost open stage."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = self._clock()
        if self._open:
            self.seconds[self._open[-1]] += now - self._mark
        self._mark = now


@contextmanager
def _replaced(place: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)
