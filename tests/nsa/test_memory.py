"""Memory of an attribution does not grow with its texts; measured in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.memory import HEAP


def peak(texts: int, folder: Path) -> tuple[int, int]:
    """(peak of anonymous memory, size of the activations that are kept), in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.nsa.attribution_peak", str(texts), str(folder)],
        env={**os.environ, **HEAP},
        capture_output=True,
        text=True,
        check=True,
    )
    memory, kept = done.stdout.split()
    return int(memory), int(kept)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to read a process's memory")
def test_twenty_times_the_texts_take_no_more_memory(tmp_path: Path) -> None:
    (few, kept_few), (many, kept_many) = (peak(texts, tmp_path / str(texts)) for texts in (10, 200))
    assert kept_many == 20 * kept_few
    # Ten texts do not fill the pieces that are worked on, 16 MiB in double precision, and what belongs to tokens and
    # words takes a few MB; a layer that stayed would be another 20 MB.
    assert many - few < 32e6
    assert kept_many > 70e6
