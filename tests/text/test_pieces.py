"""Display of a text's tokens, compared with the text itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.lm.tokens import tokenize
from prunescope.text.pieces import drawn, readable
from tests.models import tiny_tokenizer
from tests.nsa.test_spelling import llama_like

TOKENIZERS = {"byte-level": tiny_tokenizer(), "sentencepiece": llama_like()}
SIGNS = "ab é好😡שלום\u0301\u200d👩🍳ö\n\t,"
TEXTS = st.text(st.sampled_from(SIGNS), min_size=1, max_size=12).map(lambda text: f"x{text}x")


@pytest.mark.parametrize("kind", list(TOKENIZERS))
@given(text=TEXTS)
def test_the_tokens_join_to_the_text(kind: str, text: str) -> None:
    tokens = tokenize(TOKENIZERS[kind], text)
    shown = "".join(piece for piece, special in zip(tokens.texts, tokens.special, strict=True) if not special)
    assert shown.removeprefix(" ") == text


@pytest.mark.parametrize("kind", list(TOKENIZERS))
@given(text=TEXTS)
def test_what_was_kept_as_pieces_of_bytes_is_readable(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    tokens = tokenize(tokenizer, text)
    # As versions before kept them: the tokenizer's own piece for every part of a character.
    own = zip(tokens.ids, tokenizer.convert_ids_to_tokens(tokens.ids), tokens.texts, strict=True)
    kept = [piece if "\ufffd" in tokenizer.decode([id]) else shown for id, piece, shown in own]
    assert readable(kept, tokens.special, text) == tokens.texts
    assert readable(tokens.texts, tokens.special, text) == tokens.texts


def test_a_text_that_has_the_letters_of_pieces_stays_as_it_is() -> None:
    assert readable(["Ã", "¶", "<0xC3>"], [False] * 3, "Ã¶<0xC3>") == ["Ã", "¶", "<0xC3>"]
    assert readable(["Ã", "¶", "x"], [False, False, True], "öx") == ["ö", "", "x"]
    assert readable(["Ã", "x"], [False, False], "öx") == ["Ã", "x"]  # half a character


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("bad", "bad"),
        (" bad", " bad"),
        ("\n", "\n"),
        ("", "\u2009"),
        ("\u200d", "\u2009"),
        ("\ufe0f", "\u2009"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_a_cell_is_never_empty(token: str, expected: str) -> None:
    assert drawn(token) == expected
