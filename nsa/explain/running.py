"""Forward passes over the rows of an explanation: recorded, patched, or with gradients.

Memory does not grow with the number of rows: activations go to spools and come from them, one batch at a time.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.answers import answer_log_probabilities
from prunescope.lm.finite import not_finite
from prunescope.lm.hooks import change_inputs, record_inputs
from prunescope.nsa.explain.layout import Layout, Part
from prunescope.nsa.explain.sites import Place, Sites
from prunescope.nsa.explain.spools import Recorded

BATCH_TOKENS = 1024
"""Maximum number of tokens of a forward pass, with padding."""

Chosen = Mapping[Place, Int[np.ndarray, " columns"] | None]
"""Place -> the coordinates that are patched, None for all of them. Other places are left alone."""

Around = Callable[[Part], AbstractContextManager[None]]
Step = Callable[[int, int], None]
"""Called with (rows done, rows); may raise Cancelled."""


def _plain(_part: Part) -> AbstractContextManager[None]:
    return nullcontext()


def _silent(_done: int, _total: int) -> None:
    pass


@dataclass(frozen=True)
class Subject:
    """A model with its places and the layout of the rows. `name` is its reference in errors."""

    model: PreTrainedModel
    sites: Sites
    layout: Layout
    name: str

    def flat(self, values: Float[Tensor, "..."]) -> Float[Tensor, "tokens width"]:
        """The tokens of a forward pass one after the other, passage by passage. Some models call their MLP like this
        anyway."""
        return values.reshape(-1, values.shape[-1])

    def scores(
        self, rows: Sequence[int], around: Around = _plain, step: Step = _silent, tokens: int = BATCH_TOKENS
    ) -> dict[int, list[float]]:
        """Row number -> log-probabilities of its choices (nats), from one forward pass inside `around(part)`. Raises
        NotFinite, naming the row, for one that is not finite."""
        found: dict[int, list[float]] = {}
        with torch.inference_mode():
            for batch in self.layout.batches(rows, tokens):
                values: dict[int, float] = {}
                for part in self.layout.parts(batch):
                    with around(part):
                        items, flat = answer_log_probabilities(self.model, part.passages, self.layout.encoded)
                    each = iter(flat.tolist())
                    values |= {item: math.fsum(next(each) for _ in self.layout.encoded[item].answer) for item in items}
                for number in batch:
                    first, row = int(self.layout.first[number]), self.layout.rows[number]
                    found[number] = [values[first + choice] for choice in range(len(row.choices))]
                    self._check(number, found[number])
                step(len(found), len(rows))
        return found

    def record(self, into: Recorded, rows: Sequence[int], step: Step = _silent) -> dict[int, list[float]]:
        """`scores`, and the activations of all tokens of the rows are stored."""

        @contextmanager
        def recorded(part: Part) -> Iterator[None]:
            def receive(place: Place, values: Tensor) -> None:
                flat = self.flat(values)
                for number, each in enumerate(part.placed):
                    begin = number * part.longest
                    into.write(*place, each.start, flat[begin : begin + len(each.passage.tokens)])

            with record_inputs(self.sites.modules, receive):
                yield

        return self.scores(rows, recorded, step)

    def patched(
        self, source: Recorded, chosen: Chosen, rows: Sequence[int], step: Step = _silent
    ) -> dict[int, list[float]]:
        """`scores`, with the activations of `source` at the chosen places at every counted token."""
        modules = {place: module for place, module in self.sites.modules.items() if place in chosen}
        device = self.model.device
        columns = {
            place: None if (some := chosen[place]) is None else torch.from_numpy(some).to(device) for place in modules
        }

        def around(part: Part) -> AbstractContextManager[None]:
            at = torch.from_numpy(part.at).to(device)

            def change(place: Place, values: Tensor) -> Tensor:
                other = source.read(*place, part.stored_at, chosen[place]).to(device, values.dtype)
                flat = self.flat(values).clone()
                own = columns[place]
                if own is None:
                    flat[at] = other
                else:
                    flat[at[:, None], own] = other
                return flat.reshape(values.shape)

            return change_inputs(modules, change)

        return self.scores(rows, around, step)

    def _check(self, number: int, scores: Sequence[float]) -> None:
        for choice, value in enumerate(scores):
            if not math.isfinite(value):
                row = self.layout.rows[number]
                ids = torch.tensor(row.choices[choice].inputs)
                raise not_finite(f"row {row.index}", self.model, ids, self.name, of=f"for choice {choice}")
