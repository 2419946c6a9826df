"""Which tokens spell a word, with the three kinds of tokenizers there are, against a comparison of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE, Unigram
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from prunescope.lm.tokens import Tokens, tokenize
from prunescope.nsa.spelling import Spelling, WordMatch
from prunescope.nsa.texts import Text
from prunescope.text.words import occurrences
from tests.models import tiny_tokenizer


def tokens_of(word: str, text: Text, tokens: Tokens) -> WordMatch:
    return Spelling(text, tokens).tokens_of(word)


CORPUS = ["the room was small and the food was bad but the staff were kind", "so bad, très bad", "très kind 好"] * 4
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def wrapped(core: Tokenizer) -> PreTrainedTokenizerFast:
    start = core.token_to_id("<s>")
    core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>")


def llama_like() -> PreTrainedTokenizerFast:
    """As Llama 2 comes: SentencePiece's BPE, a blank put before the text, bytes for what it has no token for."""
    core = Tokenizer(BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    marked = ["▁" + text.replace(" ", "▁") for text in CORPUS]
    core.train_from_iterator(
        marked,
        trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", "<s>", *BYTES], show_progress=False),
    )
    # Training makes bytes special tokens; as in Llama they are plain ones.
    loaded = Tokenizer.from_str(core.to_str().replace('"special":true', '"special":false'))
    loaded.add_special_tokens(["<unk>", "<s>"])
    return wrapped(loaded)


def unigram() -> PreTrainedTokenizerFast:
    """As T5 and its like come: SentencePiece's unigram model behind a Metaspace."""
    core = Tokenizer(Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    core.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    core.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=60, special_tokens=["<unk>", "<s>"], unk_token="<unk>", show_progress=False),
    )
    return wrapped(core)


TOKENIZERS = {"byte-level": tiny_tokenizer(), "sentencepiece": llama_like(), "unigram": unigram()}

PARTS = ["bad", "Bad", "badly", "food", "très", "好", "好吃", "😡", ",", "!", "n't", "cafe\u0301", "中bad中", "  "]


@pytest.mark.parametrize("kind", list(TOKENIZERS))
@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=8),
    st.sampled_from(["", "bad? ", "好 ", "\n", "😡", " "]),
    st.sampled_from(["", "\nbad or kind?", " 好", "."]),
)
def test_tokens_spell_what_they_cover(kind: str, parts: list[str], before: str, after: str) -> None:
    tokenizer = TOKENIZERS[kind]
    text = Text(" ".join(["x", *parts]), before=before, after=after)
    tokens = tokenize(tokenizer, text.prompt)
    for word in ("bad", "très", "好", "😡", "cafe\u0301"):
        found = tokens_of(word, text, tokens)
        places = occurrences(word, text.text)
        assert found.occurrences == len(places)
        inside = {len(before) + place for start, end in places for place in range(start, end)}
        # Every character of every occurrence is spelled by some token that was found ...
        covered = {place for at in found.positions for place in range(*tokens.offsets[at])}
        assert inside <= covered
        # ... and no token that was found lies wholly outside.
        assert all(inside & set(range(*tokens.offsets[at])) for at in found.positions)
        # All tokens of one character's bytes go together.
        others = [at for at in range(len(tokens.ids)) if at not in found.positions and not tokens.special[at]]
        for at in others:
            start, end = tokens.offsets[at]
            assert not inside & set(range(start, end)) or tokens.texts[at].isspace()


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
@pytest.mark.parametrize("word", ["bad", "très", "好", "😡", "Bad"])
@pytest.mark.parametrize("before", ["", "so ", "😡 ", "xé"])
def test_the_tokens_of_a_word_decode_to_it(kind: str, word: str, before: str) -> None:
    tokenizer = TOKENIZERS[kind]
    text = Text(f"{word} q", before=before and before + " ", after=" end")
    tokens = tokenize(tokenizer, text.prompt)
    found = tokens_of(word, text, tokens)
    assert tokenizer.decode([tokens.ids[at] for at in found.positions]).strip() == word
    assert found.positions == list(range(found.positions[0], found.positions[-1] + 1))


def test_the_blank_that_sentencepiece_puts_before_a_text_spells_nothing() -> None:
    tokenizer = TOKENIZERS["sentencepiece"]
    text = Text("😡 so")
    tokens = tokenize(tokenizer, text.prompt)
    blank = next(at for at, shown in enumerate(tokens.texts) if not tokens.special[at] and shown.isspace())
    assert tokens.offsets[blank] == (0, 1)  # it claims the first character
    found = tokens_of("😡", text, tokens)
    assert blank not in found.positions
    assert len(found.positions) == 4  # the bytes


def test_each_occurrence_is_marked_and_none_in_the_prompt() -> None:
    for tokenizer in TOKENIZERS.values():
        text = Text("bad, so bad and BAD, not badly", before="bad: ", after=" bad")
        tokens = tokenize(tokenizer, text.prompt)
        found = tokens_of("bad", text, tokens)
        assert found.occurrences == 3
        starts = {tokens.offsets[at][0] for at in found.positions}
        assert min(starts) >= len("bad: ") - 1
        assert max(tokens.offsets[at][1] for at in found.positions) <= len("bad: bad, so bad and BAD")
