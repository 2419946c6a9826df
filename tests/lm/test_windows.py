import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from prunescope.lm.errors import BadData
from prunescope.lm.windows import PADDING, document_windows, joined_windows, random_windows, single_windows, tokens_of
from tests.models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
texts = st.lists(st.text(alphabet="abc .\n?é", min_size=1).filter(str.strip), min_size=1, max_size=6)


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 5), st.integers(1, 31), st.integers(0, 5))
def test_document_windows_are_drawn_as_the_authors_draw_them(lengths, samples, seqlen, seed):
    documents = ["é" * length for length in lengths]
    longest = max(len(TOKENIZER(text).input_ids) for text in documents)
    if longest <= seqlen:
        with pytest.raises(BadData, match=rf"more than {seqlen} tokens, the longest of {len(lengths)} has {longest}:"):
            document_windows(documents, TOKENIZER, samples, seqlen, random.Random(seed))
        return
    rng = random.Random(seed)
    expected = []
    for _ in range(samples):
        ids = []
        while len(ids) <= seqlen:
            ids = TOKENIZER(documents[rng.randint(0, len(documents) - 1)]).input_ids
        start = rng.randint(0, len(ids) - seqlen - 1)
        expected.append(ids[start : start + seqlen])
    assert document_windows(documents, TOKENIZER, samples, seqlen, random.Random(seed)).tolist() == expected


@settings(deadline=None)
@given(texts, st.integers(1, 4), st.integers(1, 60), st.integers(0, 5), st.sampled_from(["\n", "\n\n"]))
def test_joined_windows_are_texts_one_after_another(texts, samples, seqlen, seed, between):
    windows = joined_windows(texts, TOKENIZER, samples, seqlen, random.Random(seed), between=between)
    assert windows.shape == (samples, seqlen)
    again = joined_windows(texts, TOKENIZER, samples, seqlen, random.Random(seed), between=between)
    assert torch.equal(windows, again)
    # The first window, drawn here one text at a time.
    rng = random.Random(seed)
    drawn = [rng.choice(texts) for _ in range(seqlen + 2)]
    assert windows[0].tolist() == TOKENIZER(between.join(drawn)).input_ids[:seqlen]
    assert (windows[:, 0] == TOKENIZER.bos_token_id).all() and not (windows[:, 1:] == TOKENIZER.bos_token_id).any()


@settings(deadline=None)
@given(texts, st.integers(1, 7), st.integers(1, 20), st.integers(0, 5))
def test_single_windows_hold_one_text_each_and_no_text_twice(texts, samples, seqlen, seed):
    different = set(texts)
    if samples > len(different):
        with pytest.raises(BadData, match=f"{samples} windows .* there are {len(different)} different ones"):
            single_windows(texts, TOKENIZER, samples, seqlen, random.Random(seed))
        return
    windows, lengths = single_windows(texts, TOKENIZER, samples, seqlen, random.Random(seed))
    assert windows.shape == (samples, lengths.max()) and lengths.max() <= seqlen and lengths.min() > 0
    found = [window[:length].tolist() for window, length in zip(windows, lengths, strict=True)]
    whole = sorted(TOKENIZER(text).input_ids[:seqlen] for text in different)
    for ids in found:
        whole.remove(ids)  # fails where a text was drawn twice
    assert all((window[length:] == PADDING).all() for window, length in zip(windows, lengths, strict=True))


def test_texts_that_a_tokenizer_makes_nothing_of():
    letters = Tokenizer(BPE({"a": 0, "b": 1}, []))  # all others are left out
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters)
    assert tokens_of(tokenizer, "a strange b").tolist() == [0, 0, 1]
    with pytest.raises(BadData, match="6 texts have 0 tokens, too few for a window of 5"):
        joined_windows(["xyz"], tokenizer, 1, 5, random.Random(0), between="\n")
    with pytest.raises(BadData, match="no tokens for some of the examples"):
        single_windows(["xyz", "a"], tokenizer, 2, 5, random.Random(0))
