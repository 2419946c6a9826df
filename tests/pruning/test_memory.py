"""Memory of a prune job does not grow with the model's layers; measured in processes of their own."""

from pathlib import Path

import pytest

from benchmarks.memory import measure


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to read a process's memory")
def test_more_layers_take_no_more_memory(tmp_path: Path) -> None:
    """Layers that stayed would add their bytes in the checkpoint, or twice that in the type computed in; less than half
    of the former is what an allocator may keep."""
    few, many = measure([6, 18], tmp_path, width=512, samples=4, seqlen=64, method="wanda", dtype="float16")
    added = many["checkpoint_mb"] - few["checkpoint_mb"]
    assert added > 70
    assert many["peak_anonymous_mb"] - few["peak_anonymous_mb"] < added / 2
