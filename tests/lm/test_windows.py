import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.errors import BadData
from lm.windows import random_windows


@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 59), st.integers(0, 5))
def test_windows_are_the_drawn_slices(tokens, samples, seqlen, seed):
    ids = torch.arange(tokens)
    if tokens <= seqlen:
        with pytest.raises(BadData, match=f"{tokens} tokens"):
            random_windows(ids, samples, seqlen, random.Random(seed))
        return
    windows = random_windows(ids, samples, seqlen, random.Random(seed))
    rng = random.Random(seed)
    expected = []
    for _ in range(samples):
        start = rng.randint(0, tokens - seqlen - 1)
        expected.append(list(range(start, start + seqlen)))
    assert windows.tolist() == expected
