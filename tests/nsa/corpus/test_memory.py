"""Memory of a corpus does not grow with its tokens beyond the sample; measured in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.memory import HEAP


def peak(tokens: int) -> tuple[int, int]:
    """(peak of anonymous memory, counted tokens)."""
    command = [sys.executable, "-m", "tests.nsa.corpus.corpus_peak", str(tokens)]
    done = subprocess.run(command, env={**os.environ, **HEAP}, capture_output=True, text=True, check=True)
    memory, read = done.stdout.split()
    return int(memory), int(read)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to read a process's memory")
def test_ten_times_the_tokens_take_no_more_memory() -> None:
    (few, read_few), (many, read_many) = peak(6000), peak(60_000)
    assert read_few >= 6000 and read_many >= 60_000
    # Both fill the sample of 4,096 tokens. All activations of the others would be 442 MB in single precision.
    assert many - few < 12e6
