"""Windows of a corpus: cut from one text each, without overlap, of the asked size; bad texts are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.errors import BadData, BadInput, BadText
from prunescope.lm.tokens import Tokens
from prunescope.nsa.corpus import windows as cutting
from prunescope.nsa.corpus.windows import MIN_COUNTED, cut_windows
from tests.models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SENTENCE = "the room was small and the food was bad but the staff were kind. "
TEXTS = [f"{SENTENCE * count}{number}" for number, count in enumerate((3, 1, 12, 5, 7) * 8)]


def spelled(ids: np.ndarray) -> str:
    return str(TOKENIZER.decode(ids.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.integers(4, 80), st.integers(0, 5))
def test_windows_are_consecutive_pieces_of_the_texts(tokens: int, seqlen: int, seed: int) -> None:
    kept: list[tuple[int, Tokens]] = []
    found = cut_windows(
        TOKENIZER, TEXTS, tokens=max(tokens, MIN_COUNTED), seqlen=seqlen, seed=seed, keep=lambda *w: kept.append(w)
    )
    lengths = found.ends - found.starts
    assert found.bos and len(kept) == len(found.ends)
    assert (lengths >= 2).all() and (lengths <= seqlen).all()
    assert max(tokens, MIN_COUNTED) <= found.tokens < max(tokens, MIN_COUNTED) + seqlen
    seen: dict[int, str] = {}
    for start, end, (text, window) in zip(found.starts, found.ends, kept, strict=True):
        assert window.ids == found.ids[start:end].tolist()
        assert window.special == [True] + [False] * (end - start - 1)
        assert not found.counted[start] and found.counted[start + 1 : end].all()
        assert window.texts[0] == "<s>"
        assert "".join(window.texts[1:]) == spelled(found.ids[start:end])
        seen[text] = seen.get(text, "") + "".join(window.texts[1:])
    assert found.texts == len(seen)
    for number, text in list(seen.items())[:-1]:  # only the last text may be cut off
        assert text == TEXTS[number]


def test_the_order_is_of_the_seed() -> None:
    first, again, other = (
        cut_windows(TOKENIZER, TEXTS, tokens=1200, seqlen=40, seed=seed).ids.tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_long_texts_are_split_into_passages_at_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "PASSAGE_CHARACTERS", 100)
    text = SENTENCE * 60 + "x" * 250
    spans = list(cutting._spans(text))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(end - start <= 100 for start, end in spans)
    assert all(text[start] == " " for start, _ in spans[1:] if start < 60 * len(SENTENCE))


def test_special_tokens_in_a_text_are_not_counted() -> None:
    found = cut_windows(TOKENIZER, [f"{SENTENCE}<pad> {SENTENCE}"] * 60, tokens=1000, seqlen=100, seed=0)
    special = np.isin(found.ids, TOKENIZER.all_special_ids)
    assert special.sum() > len(found.ends)
    assert not found.counted[special].any()


def test_without_bos_position_0_is_not_counted() -> None:
    found = cut_windows(TOKENIZER, TEXTS, tokens=1000, seqlen=40, seed=0, bos="never")
    assert not found.bos
    assert not found.counted[found.starts].any()
    assert found.ids[found.starts[0]] != 0


def test_position_0_is_counted_on_request_unless_it_is_a_special_token() -> None:
    for bos, counted in (("never", True), ("auto", False)):
        found = cut_windows(TOKENIZER, TEXTS, tokens=1000, seqlen=40, seed=0, bos=bos, count_first=True)
        assert (found.counted[found.starts] == counted).all()
        assert found.counted[found.starts + 1].all()


def test_tokens_that_are_left_out_later_are_not_counted() -> None:
    found = cut_windows(TOKENIZER, TEXTS, tokens=1000, seqlen=40, seed=0)
    sinks = np.arange(len(found.ids)) % 7 == 0
    kept = found.without(sinks)
    assert not kept.counted[sinks].any() and kept.tokens == (found.counted & ~sinks).sum()
    np.testing.assert_array_equal(kept.counted[~sinks], found.counted[~sinks])


def test_all_of_a_text_that_is_shorter_than_asked() -> None:
    found = cut_windows(TOKENIZER, TEXTS, tokens=10**9, seqlen=64, seed=0)
    assert found.texts == len(TEXTS)
    assert MIN_COUNTED < found.tokens < 10**9


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        ([SENTENCE], {}, BadData, "the text has .. tokens; a corpus needs at least 1,000: give more text"),
        ([], {}, BadData, "the text has 0 tokens"),
        (["  \n", SENTENCE], {}, BadData, "the text has .. tokens"),
        (["bad \ud800 text"] * 50, {}, BadText, "surrogate|half"),
        (TEXTS, {"seqlen": 1}, BadInput, "seqlen 1 leaves no token of text"),
        (TEXTS, {"bos": "often"}, BadInput, "bos 'often' is unknown"),
    ],
)
def test_unusable_texts(texts: list[str], options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cut_windows(TOKENIZER, texts, **{"tokens": 2000, "seqlen": 32, "seed": 0, **options})  # type: ignore[arg-type]
