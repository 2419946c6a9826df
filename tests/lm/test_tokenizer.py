"""The check that a tokenizer fits its model, and the special tokens that it adds to a text."""

from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken

from prunescope.lm.errors import BadData, BadInput, BadText, UnsupportedModel
from prunescope.lm.loading import load
from prunescope.lm.rows import file_documents
from prunescope.lm.tokenizer import added, to_continue, window_start, without_end
from prunescope.lm.tokens import tokenize
from prunescope.lm.windows import tokens_of
from tests.models import VOCABULARY, tiny, tiny_tokenizer, tokenizer_with_end


def save(folder: Path, tokenizer) -> Path:  # type: ignore[no-untyped-def]
    tiny("llama").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def beyond(piece: str, *, special: bool):  # type: ignore[no-untyped-def]
    """A tokenizer whose last token is one more than the embedding has rows."""
    tokenizer = tiny_tokenizer()
    while len(tokenizer) < VOCABULARY:
        tokenizer.add_tokens(f"[filler {len(tokenizer)}]")
    tokenizer.add_tokens(AddedToken(piece, special=special), special_tokens=special)
    assert tokenizer.convert_tokens_to_ids(piece) == VOCABULARY
    return tokenizer


@pytest.mark.parametrize("resident", [True, False])
def test_a_token_without_a_row_is_refused_when_the_model_is_loaded(tmp_path: Path, resident: bool) -> None:
    save(tmp_path, beyond("harbour", special=False))
    with pytest.raises(UnsupportedModel, match=r"token 300 \('harbour'\), but its embedding has 300 rows, .* 0 to 299"):
        load(tmp_path, device="cpu", resident=resident)


def test_a_padded_vocabulary_is_fine(tmp_path: Path) -> None:
    tokenizer = load(save(tmp_path, tiny_tokenizer()), device="cpu").tokenizer
    assert tokenizer is not None and len(tokenizer) < VOCABULARY


def test_a_special_token_without_a_row_is_refused_where_a_text_spells_it(tmp_path: Path) -> None:
    """Gemma 3 without pictures has such a one; no text of words has it."""
    lm = load(save(tmp_path, beyond("<picture>", special=True)), device="cpu")
    assert lm.tokenizer is not None
    lm.model(input_ids=torch.tensor([lm.tokenizer("the room was small")["input_ids"]]))
    with pytest.raises(BadText, match=r"a text spells '<picture>' \(token 300\), which .* has 300 rows; take it out"):
        lm.model(input_ids=torch.tensor([lm.tokenizer("the <picture> was small")["input_ids"]]))


def test_a_token_that_the_tokenizer_adds_itself_must_have_a_row(tmp_path: Path) -> None:
    tokenizer = tokenizer_with_end("</s>")
    while len(tokenizer) < VOCABULARY:
        tokenizer.add_tokens(f"[filler {len(tokenizer)}]")
    tokenizer.add_special_tokens({"additional_special_tokens": ["</s>", "<end>"]})
    template = tokenizer_with_end("<s>").backend_tokenizer.post_processor
    tokenizer.backend_tokenizer.post_processor = template
    assert load(save(tmp_path / "fine", tokenizer), device="cpu").tokenizer is not None
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 300)])
    with pytest.raises(UnsupportedModel, match=r"token 300 \('<end>'\)"):
        load(save(tmp_path / "wrong", tokenizer), device="cpu")


@pytest.mark.parametrize("ends", [(), ("</s>",), ("<s>",), ("[SEP]", "</s>")])
def test_what_a_tokenizer_appends_is_left_out_where_a_text_goes_on(ends: tuple[str, ...]) -> None:
    tokenizer = tokenizer_with_end(*ends)
    found = added(tokenizer)
    assert found.before == (0,) and list(found.behind) == [tokenizer.convert_tokens_to_ids(end) for end in ends]
    plain = tiny_tokenizer()("the room was small")["input_ids"]
    assert tokenizer("the room was small")["input_ids"] == [*plain, *found.behind]
    assert to_continue(tokenizer, "the room was small") == plain == tokenize(tokenizer, "the room was small").ids
    parts = tokenize(tokenizer, "the room")
    assert len(parts.ids) == len(parts.texts) == len(parts.offsets) == len(parts.special)


def test_only_what_was_appended_goes() -> None:
    assert without_end([0, 5, 2, 2], (2,)) == [0, 5, 2]
    assert without_end([0, 5], (2,)) == [0, 5] and without_end([0, 5], ()) == [0, 5]
    assert without_end([2], (3, 2)) == [2]


def test_what_windows_begin_with() -> None:
    tokenizer = tiny_tokenizer()
    assert window_start(tokenizer, "auto") == window_start(tokenizer, "always") == (0,)
    assert window_start(tokenizer, "never") == ()
    tokenizer.backend_tokenizer.post_processor = None
    assert window_start(tokenizer, "auto") == () and window_start(tokenizer, "always") == (0,)
    tokenizer.bos_token = None
    with pytest.raises(BadInput, match="no BOS token; take bos auto or never"):
        window_start(tokenizer, "always")


HALF = "the room \ud800 was small"


def test_half_a_character_is_refused_by_whoever_makes_tokens() -> None:
    for make in (to_continue, tokenize, tokens_of):
        with pytest.raises(BadText, match=r"holds half of a character \('\\ud800' at character 9\)") as caught:
            make(tiny_tokenizer(), HALF)
        str(caught.value).encode()  # can be printed


def test_half_a_character_is_refused_with_file_line_and_field(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "fine"}\n{"text": "the \\ud800 room"}\n')
    with pytest.raises(BadData, match=r"texts\.jsonl, line 2: field 'text' holds half of a character"):
        file_documents(tmp_path / "texts.jsonl")
