"""Loads a model's tokenizer, checks that it fits the model, and handles the special tokens that it adds to a text.

Texts that are continued (by answers, labels, questions) are tokenised without the tokens that a tokenizer appends, such
as </s>, because after such a token a model begins a new text. Tokens added before a text (BOS) are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadInput, BadText, UnsupportedModel
from prunescope.lm.folders import is_lfs_pointer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")

Bos = Literal["auto", "always", "never"]
"""Whether each window of running text begins with BOS; `auto`: if the tokenizer adds BOS before a text."""

BOS_CHOICES: tuple[Bos, ...] = ("auto", "always", "never")

PROBES = ("a", "the", "0")  # texts with which a tokenizer is tested


@dataclass(frozen=True)
class Added:
    """The token ids that a tokenizer adds before and after every text."""

    before: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()


def load_tokenizer(folder: Path, reference: str, model: PreTrainedModel) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer of a model's folder; None when there is none.

    Raises BadInput when it cannot be loaded, UnsupportedModel when it does not fit the model (`check`).
    """
    tokenizer = read_tokenizer(folder)
    if tokenizer is not None:
        check(tokenizer, reference, model)
    return tokenizer


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer in a folder; None when there is none. Raises BadInput when it cannot be loaded or has no
    vocabulary."""
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return None
    for name in TOKENIZER_FILES:
        if is_lfs_pointer(folder / name):
            raise BadInput(f"{folder}: its {name} is a Git LFS pointer; run `git lfs pull` in the folder it came from")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        for probe in PROBES:  # settings of the wrong type cause errors only when they are used
            tokenizer.decode(tokenizer(probe)["input_ids"])
    except Exception as error:  # the tokenizers library raises bare Exception
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"{folder}: its tokenizer cannot be used: {cause}") from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.added_tokens_encoder):
        raise BadInput(
            f"{folder}: its tokenizer has no vocabulary, so a text has no tokens: copy the file with the vocabulary "
            f"there (tokenizer.json, tokenizer.model, or vocab.json and merges.txt)"
        )
    return tokenizer


def check(tokenizer: PreTrainedTokenizerBase, reference: str, model: PreTrainedModel) -> RemovableHandle | None:
    """Raise UnsupportedModel when the tokenizer has a token without an embedding row.

    Embedding rows without a token (a padded vocabulary) are accepted, and so are special tokens without a row that the
    tokenizer never adds by itself (Gemma 3's <image_soft_token>). In the latter case a hook on the embedding, whose
    handle is returned, raises BadText when a text contains such a token. Otherwise None is returned.
    """
    embedding = model.get_input_embeddings()
    rows = len(cast(Tensor, embedding.weight))
    beyond = {token: piece for piece, token in tokenizer.get_vocab().items() if token >= rows}
    if not beyond:
        return None
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    special |= set(tokenizer.all_special_ids)
    around = added(tokenizer)
    wrong = (beyond.keys() - special) | (beyond.keys() & {*around.before, *around.behind})
    if wrong:
        token = max(wrong)
        raise UnsupportedModel(
            f"{reference}: its tokenizer gives token {token} ({beyond[token]!r}), but its embedding has {rows} rows, "
            f"for tokens 0 to {rows - 1}: give the tokenizer that belongs to the model, or the model that was saved "
            f"after its embedding grew"
        )

    def check_ids(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = args[0] if args else next(iter(kwargs.values()))
        if (token := int(ids.max())) >= rows:
            raise BadText(
                f"a text spells {beyond.get(token, '')!r} (token {token}), which {reference} cannot read: its "
                f"embedding has {rows} rows; take it out of the text"
            )

    return embedding.register_forward_pre_hook(check_ids, with_kwargs=True)


def added(tokenizer: PreTrainedTokenizerBase) -> Added:
    """Return the tokens that the tokenizer adds around a text, by comparing short texts tokenised with and without
    special tokens."""
    for probe in PROBES:
        plain: list[int] = tokenizer(probe, add_special_tokens=False)["input_ids"]
        whole: list[int] = tokenizer(probe)["input_ids"]
        for start in range(len(whole) - len(plain) + 1):
            if plain and whole[start : start + len(plain)] == plain:
                return Added(tuple(whole[:start]), tuple(whole[start + len(plain) :]))
    return Added()


def without_end(ids: Sequence[int], behind: Sequence[int]) -> list[int]:
    """Return the ids of a text without the ids `behind` that the tokenizer appended, if they are at its end."""
    kept = len(ids) - len(behind)
    return list(ids[:kept] if behind and kept >= 0 and list(ids[kept:]) == list(behind) else ids)


def to_continue(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a text that will be continued: with the special tokens before it, without those after it.

    Raises BadText for a lone surrogate.
    """
    check_characters(text)
    return without_end(tokenizer(text, verbose=False)["input_ids"], added(tokenizer).behind)


def check_characters(text: str) -> None:
    """Raise BadText for a text with a lone surrogate, which no tokenizer accepts."""
    if wrong := half_character(text):
        raise BadText(f"the text {text[:60]!a} {wrong}")


def window_start(tokenizer: PreTrainedTokenizerBase, bos: str) -> tuple[int, ...]:
    """Return the ids that every window of running text begins with: BOS, or none. `bos` is one of BOS_CHOICES. Raises
    BadInput for another value, and for `always` if the tokenizer has no BOS."""
    if bos not in BOS_CHOICES:
        raise BadInput(f"bos {bos!r} is unknown: {', '.join(BOS_CHOICES)}")
    if bos == "never":
        return ()
    before = added(tokenizer).before
    if bos == "auto" or before:
        return before
    if not isinstance(tokenizer.bos_token_id, int):
        raise BadInput("bos always: the tokenizer has no BOS token; take bos auto or never")
    return (tokenizer.bos_token_id,)
