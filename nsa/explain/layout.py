"""The tokens of all rows in the order in which their activations are stored, and the batches of one forward pass.

The choices of a row share the forward pass over their prompt (`lm.passages`). A token is counted unless it is at
position 0 of its text or a special token: a model may put activations there that dwarf all others.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from prunescope.lm.answers import Encoded, apart
from prunescope.lm.passages import Passage, passages
from prunescope.nsa.explain.rows import Row


@dataclass(frozen=True)
class Placed:
    """One passage of a row: `row` is the row's number, `start` the place of its first token in the stored activations,
    `counted` the positions in the passage of the counted tokens."""

    passage: Passage
    row: int
    start: int
    counted: Int[np.ndarray, " some"]


@dataclass(frozen=True)
class Part:
    """The passages of one forward pass, padded on the right to the longest."""

    placed: Sequence[Placed]

    @property
    def passages(self) -> list[Passage]:
        return [each.passage for each in self.placed]

    @cached_property
    def longest(self) -> int:
        """The number of tokens of each padded passage."""
        return max(len(each.passage.tokens) for each in self.placed)

    @cached_property
    def at(self) -> Int[np.ndarray, " counted"]:
        """The counted tokens, as indices into the flattened [passages, longest] tokens of the forward pass."""
        return np.concatenate([number * self.longest + each.counted for number, each in enumerate(self.placed)])

    @cached_property
    def stored_at(self) -> Int[np.ndarray, " counted"]:
        """The places of the counted tokens in the stored activations."""
        return np.concatenate([each.start + each.counted for each in self.placed])

    @cached_property
    def owners(self) -> Int[np.ndarray, " counted"]:
        """The row number of each counted token."""
        return np.repeat([each.row for each in self.placed], [len(each.counted) for each in self.placed])


class Layout:
    """Lays out rows as passages. `longest` is the greatest length of a passage with branches
    (`passages.longest_branched`), `switches` and `window` as in `answers.apart`. `special` are the ids of special
    tokens; with `sinks` these and position 0 are counted too."""

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        longest: int = 0,
        switches: Sequence[int] = (),
        window: int | None = None,
        special: Collection[int] = (),
        sinks: bool = False,
    ) -> None:
        self.rows = rows
        self.encoded: list[Encoded] = [choice for row in rows for choice in row.choices]
        self.first = np.cumsum([0, *(len(row.choices) for row in rows)])
        """The index in `encoded` of each row's first choice."""
        self._lengths = [len(item.inputs) for item in self.encoded]
        self._switches, self._window = switches, window
        self.placed: list[list[Placed]] = []
        self.tokens = 0
        for number, row in enumerate(rows):
            own = []
            for passage in self._passages_of(row, int(self.first[number]), longest):
                counted = np.array(
                    [
                        place
                        for place, (token, position) in enumerate(zip(passage.tokens, passage.positions(), strict=True))
                        if sinks or (position > 0 and token not in special)
                    ],
                    dtype=int,
                )
                own.append(Placed(passage, number, self.tokens, counted))
                self.tokens += len(passage.tokens)
            self.placed.append(own)

    def _passages_of(self, row: Row, first: int, longest: int) -> Iterator[Passage]:
        for passage in passages([choice.inputs for choice in row.choices], longest):
            items = tuple((first + item, branch) for item, branch in passage.items)
            named = Passage(passage.tokens, passage.stem, passage.branches, items)
            for part in apart([named], self._lengths, self._switches, self._window):
                yield from part

    def batches(self, rows: Sequence[int], tokens: int) -> Iterator[list[int]]:
        """Split rows into batches of at most `tokens` tokens with padding, or one row; longest rows first."""
        size = {number: sum(len(each.passage.tokens) for each in self.placed[number]) for number in rows}
        batch: list[int] = []
        longest = count = 0
        for number in sorted(rows, key=lambda number: -size[number]):
            own = max(len(each.passage.tokens) for each in self.placed[number])
            more = count + len(self.placed[number])
            if batch and max(longest, own) * more > tokens:
                yield batch
                batch, longest, more = [], 0, len(self.placed[number])
            batch.append(number)
            longest, count = max(longest, own), more
        if batch:
            yield batch

    def parts(self, batch: Sequence[int]) -> list[Part]:
        """The forward passes of a batch of rows, usually one."""
        placed = {each.passage: each for number in batch for each in self.placed[number]}
        groups = apart(list(placed), self._lengths, self._switches, self._window)
        return [Part([placed[passage] for passage in group]) for group in groups]

    def place_of(self, number: int, choice: int) -> Int[np.ndarray, " tokens"]:
        """The places in the stored activations of the inputs of one choice of a row, in order."""
        item = int(self.first[number]) + choice
        for each in self.placed[number]:
            for own, branch in each.passage.items:
                if own == item:
                    return np.array(
                        [each.start + each.passage.place(branch, position) for position in range(self._lengths[item])]
                    )
        raise AssertionError(f"choice {choice} of row {number} is in no passage")
