import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from prunescope.lm.errors import BadText, UnsupportedModel
from prunescope.lm.loading import load
from prunescope.lm.tokens import tokenize
from tests.models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
VISIBLE = st.text(st.characters(min_codepoint=32, max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1)


@given(VISIBLE.filter(str.strip))
def test_tokens_cover_the_text(text):
    tokens = tokenize(TOKENIZER, text)
    assert tokens.ids == TOKENIZER(text).input_ids
    assert len(tokens.ids) == len(tokens.texts) == len(tokens.offsets) == len(tokens.special)
    covered = {place for start, end in tokens.offsets for place in range(start, end)}
    assert covered == set(range(len(text)))


@given(st.text("abcdefgh ,.\n", min_size=1).filter(str.strip))
def test_whole_characters_join_to_the_text(text):
    tokens = tokenize(TOKENIZER, text)
    assert "".join(shown for shown, special in zip(tokens.texts, tokens.special, strict=True) if not special) == text


def test_spaces_newlines_and_parts_of_characters():
    tokens = tokenize(TOKENIZER, "the food\nö")
    assert tokens.texts[:2] == ["<s>", "the"]
    assert " food" in tokens.texts and "\n" in tokens.texts
    assert tokens.texts[-2:] == ["ö", ""]  # two pieces of one character: the first has it
    assert tokens.offsets[-2:] == [(9, 10), (9, 10)]
    assert tokens.special == [True] + [False] * (len(tokens.ids) - 1)


@pytest.mark.parametrize("text", ["schön", "café bad", "한국", "ệx", "é"])
def test_pieces_of_a_character_that_the_tokenizer_composes_show_all_of_it(text):
    """A normalizer as Qwen has it, and a text as macOS writes it: letters and marks by themselves."""
    tokenizer = tiny_tokenizer()
    apart = unicodedata.normalize("NFD", text)
    plain = tokenize(tokenizer, apart)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    composed = tokenize(tokenizer, apart)
    for tokens in (plain, composed):
        assert "".join(tokens.texts[1:]) == apart
    assert composed.texts == [unicodedata.normalize("NFD", one) for one in tokenize(tokenizer, text).texts]
    assert not any(unicodedata.combining(one[0]) for one in composed.texts if one)


def test_a_special_token_written_in_the_text_is_special():
    tokens = tokenize(TOKENIZER, "the <pad> food")
    assert [text for text, special in zip(tokens.texts, tokens.special, strict=True) if special] == ["<s>", "<pad>"]


def test_sentencepiece_pieces_are_shown_with_their_spaces():
    pieces = ["▁", "a", "▁a", "b", "▁b", "▁ab", "ab", "\n"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    core = Tokenizer(BPE(vocabulary, [("▁", "a"), ("▁", "b"), ("a", "b"), ("▁a", "b")]))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    tokens = tokenize(PreTrainedTokenizerFast(tokenizer_object=core), "ab ab")
    assert tokens.texts == [" ab", " ab"]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_is_refused(text):
    with pytest.raises(BadText, match="empty"):
        tokenize(TOKENIZER, text)


def test_a_tokenizer_without_offsets_is_refused():
    class Slow(PreTrainedTokenizerFast):
        is_fast = False

    with pytest.raises(UnsupportedModel, match="Slow cannot give the character range"):
        tokenize(Slow(tokenizer_object=TOKENIZER.backend_tokenizer), "text")


def test_the_demo_tokenizer():
    tokens = tokenize(load("demo").tokenizer, "The food was badly burnt.\nAnswer:")
    assert "".join(text for text, s in zip(tokens.texts, tokens.special, strict=True) if not s) == (
        "The food was badly burnt.\nAnswer:"
    )
