"""A model's list of words of a text: only whole words and phrases of the text, none twice, with their probabilities."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE, Unigram, WordLevel
from transformers import AutoConfig, PreTrainedTokenizerFast
from transformers import AutoModelForCausalLM as CausalLM

from prunescope.lm.errors import NotFinite
from prunescope.lm.loading import LanguageModel, load
from prunescope.nsa.constrained import MAX_ITEMS, list_items
from prunescope.nsa.items import comma_length, first_spellings, further_spellings, items_of
from prunescope.nsa.prompts import question, words_prompt
from prunescope.nsa.texts import Text
from prunescope.nsa.words import influential_words
from prunescope.text.words import WordIndex, fold
from tests.models import tiny, tiny_tokenizer

TEXT = "The room wasn't small; café staff was kind but not very well-made \N{PILE OF POO} 中文 Kind!"
CORPUS = ["the room was small and the food was bad but the staff were kind, [a,b] \n: x"] * 4


def long_context(family: str, seed: int = 0, tokenizer: PreTrainedTokenizerFast | None = None) -> LanguageModel:
    """A tiny random model of the family whose context holds the question."""
    config = tiny(family).config.to_dict()
    config |= {"n_positions" if family == "gpt2" else "max_position_embeddings": 2048}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CausalLM.from_config(AutoConfig.for_model(**config)).eval().requires_grad_(False)
    return LanguageModel(model, tokenizer or tiny_tokenizer(), "tiny", torch.float32, torch.device("cpu"))


def sentencepiece(unigram: bool) -> PreTrainedTokenizerFast:
    """A tokenizer that marks a word's beginning with a block, spells other characters in bytes, and has no rules about
    punctuation."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    if unigram:
        pieces = ["▁", ",", "[", "]", "▁the", "▁k", "ind", ",k", "n", "o", "t", "▁not", "s", "m", "a", "ll", "▁["]
        core = Tokenizer(
            Unigram([("<unk>", 0.0), *((piece, -1.0) for piece in pieces), *((b, -9.0) for b in bytes_)], 0, True)
        )
    else:
        core = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True))
        trainer = trainers.BpeTrainer(vocab_size=40, special_tokens=["<unk>", *bytes_], show_progress=False)
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        core.train_from_iterator(CORPUS, trainer)
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.pre_tokenizer = None
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="<unk>")


TOKENIZERS = {
    "byte-level BPE": tiny_tokenizer,
    "SentencePiece BPE": lambda: sentencepiece(False),
    "SentencePiece unigram": lambda: sentencepiece(True),
}


def test_items_are_words_and_short_phrases() -> None:
    found = [item.text for item in items_of("Not\n very good, well-made 中文").values()]
    assert found == [
        "Not", "Not very", "Not very good", "very", "very good", "good",
        "well", "well-made", "well-made 中", "made", "made 中", "made 中文", "中", "中文", "文",
    ]  # fmt: skip
    assert not items_of("... !? __") and list(items_of("\N{PILE OF POO}!")) == ["\N{PILE OF POO}"]
    content = [item.text for item in items_of("It was not the food of 1999", content=True).values()]
    assert content == ["not", "not the food", "food"]


@given(st.lists(st.sampled_from(["bad", "Bad", "don't", " ", "\n", "-", ",", "_", "é", "中", "7", "\u200d"])))
def test_every_item_occurs_in_its_text(parts: list[str]) -> None:
    text = "".join(parts)
    index = WordIndex(text)
    for key, item in items_of(text).items():
        assert item.text in index and key == fold(item.text)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_sequences_of_tokens_spell_their_items(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    items = items_of(TEXT)
    assert comma_length(tokenizer) == 1
    for spelled, separators in (
        (first_spellings(tokenizer, items), ("", " ")),
        (further_spellings(tokenizer, items), (",", ", ")),
    ):
        assert list(spelled.sequences) == sorted(set(spelled.sequences)) and set(spelled.items) == set(items)
        for ids, item in zip(spelled.sequences, spelled.items, strict=True):
            whole = tokenizer.decode([*tokenizer("x", add_special_tokens=False)["input_ids"], *ids]).strip()[1:]
            forms = {form for word in (items[item].text, items[item].text.lower()) for form in (word, f" {word}")}
            assert whole in {f"{separator}{form}" for separator in separators for form in forms}


@given(st.sets(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), min_size=1), st.data())
def test_tokens_that_follow_are_those_of_open_items(sequences: set[tuple[int, ...]], data: st.DataObject) -> None:
    from prunescope.nsa.items import Spellings

    ordered = sorted(sequences)
    names = [str(number % 5) for number in range(len(ordered))]
    closed = data.draw(st.sets(st.sampled_from(names)))
    spelled = Spellings(ordered, names)
    places = [((), spelled.start)]
    while places:
        begun, place = places.pop()
        following = spelled.following(place, closed)
        wanted = {
            ids[len(begun)]
            for ids, name in zip(ordered, names, strict=True)
            if ids[: len(begun)] == begun and len(ids) > len(begun) and name not in closed
        }
        assert following.keys() == wanted
        assert spelled.item(place) == (names[ordered.index(begun)] if begun in sequences else None)
        places += [((*begun, token), after) for token, after in following.items()]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "opt"])
def test_a_random_model_always_lists_words_of_the_text(family: str, name: str) -> None:
    for seed in range(3):
        lm = long_context(family, seed, TOKENIZERS[name]())
        (found,) = influential_words(lm, [Text(TEXT)], "auto")
        assert found is not None and found.source == "cot" and found.words and not found.dropped
        assert found.answer == f"[{','.join(found.words)}]"
        assert len(found.words) <= MAX_ITEMS and all(word in WordIndex(TEXT) for word in found.words)
        assert len(found.amounts) == len(found.words) and all(0 <= amount <= 1 for amount in found.amounts)
        words = [fold(TEXT[slice(*place)]) for word in found.words for place in WordIndex(TEXT).occurrences(word)[:1]]
        assert len(set(words)) == len(words)
        pairs = itertools.combinations([set(WordIndex(word).distinct()) for word in found.words], 2)
        assert not any({*map(fold, one)} & {*map(fold, other)} for one, other in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_the_list_is_that_of_a_plain_search_over_strings(seed: int) -> None:
    """Greedy choice among the tokens of all lists that are still possible, spelled out, with a full pass each."""
    lm, text = long_context("llama", seed), "the bad, kind staff"
    assert lm.tokenizer is not None
    prompt = words_prompt(text)
    begun = question(lm.tokenizer, prompt, begun="[").ids

    def ids_of(string: str, before: str) -> tuple[int, ...]:
        whole = lm.tokenizer(before + string, add_special_tokens=False)["input_ids"]
        return tuple(whole[len(lm.tokenizer(before, add_special_tokens=False)["input_ids"]) :])

    items = {key: {item.text, item.text.lower()} for key, item in items_of(text).items()}
    shared = {one: {other for other in items if {*one.split()} & {*other.split()}} for one in items}
    ends = [token for piece, token in lm.tokenizer.get_vocab().items() if piece.strip("Ġ").startswith("]")]
    ends.append(lm.tokenizer.eos_token_id)

    def spelled(named: list[str]) -> dict[tuple[int, ...], str]:
        closed = {other for one in named for other in shared[one]}
        befores = [("", ": ["), (" ", ": [")] if not named else [(",", ": [x"), (", ", ": [x")]
        return {
            ids_of(separator + form, before): key
            for key, forms in items.items()
            if key not in closed
            for form in forms
            for separator, before in befores
        }

    said: list[int] = []
    named: list[str] = []
    chances: list[float] = []
    present: tuple[int, ...] = ()
    chance = 1.0
    while True:
        now = spelled(named)
        inside = {ids[len(present)] for ids in now if ids[: len(present)] == present and len(ids) > len(present)}
        done = now.get(present)
        after = spelled([*named, done]) if done and len(named) + 1 < MAX_ITEMS else {}
        more = {ids[0] for ids in after}
        if not inside | more:
            named, chances = [*named, done], [*chances, chance]
            break
        p = lm.model(input_ids=torch.tensor([[*begun, *said]])).logits[0, -1].softmax(-1)
        if done and float(p[ends].sum()) >= float(p[sorted(inside | more)].sum()):
            named, chances = [*named, done], [*chances, chance]
            break
        token = max(inside | more, key=lambda token: float(p[token]))
        if token in inside:
            present = (*present, token)
            chance *= float(p[token]) if len(present) > 1 or not named else 1.0
        else:
            named, chances, present, chance = [*named, done], [*chances, chance], (token,), 1.0
        said.append(token)
    found = list_items(lm, prompt, text)
    assert found is not None
    assert [fold(item.text) for item in found.items] == named
    assert [item.probability for item in found.items] == pytest.approx(chances, rel=1e-4)


def test_a_list_ends_where_the_model_prefers_it() -> None:
    lm = long_context("llama")
    assert lm.tokenizer is not None
    closing = lm.tokenizer.convert_tokens_to_ids("]")
    found = list_items(lm, words_prompt(TEXT), TEXT)
    assert found is not None

    def lean(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
        output[..., closing] += 100.0
        return output

    handle = lm.model.lm_head.register_forward_hook(lean)
    ended = list_items(lm, words_prompt(TEXT), TEXT)
    handle.remove()
    assert ended is not None and len(ended.items) == 1
    assert ended.items[0].text == found.items[0].text  # no list is empty


def test_words_that_the_vocabulary_cannot_spell_are_found_by_occlusion() -> None:
    words = ["<unk>", "room", "was", "[", ",", "]", ":", "x"]
    core = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, "<unk>"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lm = long_context("llama", tokenizer=PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>"))
    known, unknown, plain = influential_words(
        lm, [Text("The room"), Text("Kind staff", label="good"), Text("Kind staff")], "auto"
    )
    assert known is not None and known.words == ("room",) and known.source == "cot"
    assert unknown is not None and unknown.source == "occlusion" and unknown.words and unknown.amounts
    assert plain is not None and plain.words == () and plain.source == "cot"


def test_a_list_is_not_made_of_numbers_that_are_not_finite() -> None:
    lm = long_context("llama")
    lm.model.model.layers[1].mlp.down_proj.weight[3, 5] = float("nan")
    with pytest.raises(NotFinite, match=r"the list of words of .The room .*, token 0: tiny gives .* from layer 1 on"):
        list_items(lm, words_prompt(TEXT), TEXT)


def test_a_chat_models_answer_begins_with_the_bracket() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "<{{ messages[0].content }}>"
    assert tokenizer.decode(question(tokenizer, "bad", begun="[").ids) == "<bad>["
    tokenizer.chat_template = None
    assert tokenizer.decode(question(tokenizer, "bad", begun="[").ids) == "<s>bad ["
    lm = replace(long_context("llama"), tokenizer=tokenizer)
    found = list_items(lm, words_prompt(TEXT), TEXT)
    assert found is not None and found.plain_reason is None


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=30))
def test_a_list_has_words_exactly_if_the_text_has_some(text: str) -> None:
    lm = long_context("llama")
    found = list_items(lm, words_prompt("x"), text)
    assert found is not None
    assert bool(found.items) == bool(items_of(text))


def test_the_shipped_model_writes_a_space_after_the_bracket() -> None:
    lm = load("demo", device="cpu")
    text = "The room was filthy and the staff were terrible, but the breakfast was delicious."
    found = list_items(lm, words_prompt(text), text)
    assert found is not None and found.items[0].text == "terrible" and found.items[0].probability > 0.5
