"""Batch sizes: chosen by memory, halved when memory runs out, and nothing run twice."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.evaluation.batches import TOKENS_AT_ONCE, BatchSize, batch_size, in_batches, token_bytes
from prunescope.lm.errors import OutOfMemory
from tests.models import FAMILIES, tiny

Lengths = Sequence[int]


class Device:
    """Runs batches of lengths, padded to the longest, and has room for so many tokens."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.ran: list[list[int]] = []
        self.refused = 0

    def __call__(self, lengths: Lengths) -> int:
        if len(lengths) * max(lengths) > self.room:
            self.refused += 1
            raise torch.OutOfMemoryError("no room")
        self.ran.append(list(lengths))
        return sum(lengths)


def run(lengths: Lengths, size: BatchSize, device: Device) -> list[int]:
    batches = in_batches(sorted(lengths, reverse=True), lambda length: length, size, device)
    return [length for some, _ in batches for length in some]


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 400), st.integers(40, 400))
def test_everything_runs_once_and_fits(lengths: list[int], tokens: int, room: int) -> None:
    device = Device(room)
    assert run(lengths, BatchSize(tokens), device) == sorted(lengths, reverse=True)
    assert [length for some in device.ran for length in some] == sorted(lengths, reverse=True)
    assert all(len(some) == 1 or len(some) * max(some) <= tokens for some in device.ran)
    # Each refusal halves what is tried: of 60 rows it takes at most six to come to one.
    assert device.refused <= 6


def test_what_was_scored_before_memory_ran_out_stays() -> None:
    """Something else takes the memory half-way; the later batches are smaller, the earlier ones are not run again."""
    device = Device(80)
    batches = in_batches([10] * 24, lambda length: length, BatchSize(80), device)
    assert [next(batches)[1]] == [80]
    device.room = 25
    assert sum(result for _, result in batches) == 160
    assert [len(some) for some in device.ran] == [8, *[2] * 8] and device.refused == 2


def test_a_single_row_that_does_not_fit_says_what_to_do() -> None:
    with pytest.raises(OutOfMemory, match=r"one row of 50 tokens .*--device cpu"):
        run([50, 10], BatchSize(1000), Device(40))


def test_a_number_of_rows_is_kept_to() -> None:
    device = Device(10_000)
    run([5] * 7, BatchSize(10_000, rows=3), device)
    assert [len(some) for some in device.ran] == [3, 3, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_small_model_on_a_cpu_takes_what_a_pass_has_use_for(family: str) -> None:
    model = tiny(family)
    assert batch_size(model) == BatchSize(TOKENS_AT_ONCE["cpu"])
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    assert token_bytes(model) > vocabulary * (model.dtype.itemsize + 8)
