"""Cuts calibration sets into token windows.

c4              windows from pages longer than a window, drawn as in the published code of SparseGPT and Wanda
wikitext2, ptb  lines joined by one space, then random windows
task sets       training examples with their answers, in the form of the evaluation's prompt
demo            the project's own calibration text
a file          .txt running text, then random windows; .jsonl examples (`text`);
                .safetensors `input_ids` [samples, tokens], used unchanged

Sets of examples (the task sets, demo, .jsonl files) have two modes: `concat` fills each window with random examples,
`single` puts one example into each window and pads it.

`bos` determines whether every window begins with BOS. `never` is the published protocol for pages and running text: a
whole text or page is tokenised with the tokenizer's special tokens and then cut, so that few windows contain one.
"""

import hashlib
import random
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from prunescope.lm.errors import BadData, BadInput
from prunescope.lm.rows import file_documents, file_text
from prunescope.lm.tokenizer import window_start
from prunescope.lm.windows import Start, document_windows, joined_windows, random_windows, single_windows, tokens_of
from prunescope.pruning.calibration_sources import DEMO_TEXT, documents, lines
from prunescope.pruning.task_texts import BETWEEN, TASK_TEXTS

CALIBRATION_SETS = ("c4", "wikitext2", "ptb", *TASK_TEXTS, "demo")
EXAMPLE_SETS = (*TASK_TEXTS, "demo")
MODES = ("concat", "single")
FILES = (".txt", ".jsonl", ".safetensors")
SAMPLES = 128
LONGEST = 2048  # default limit, also for models with a longer context: windows of 131072 tokens would need 128 GiB


@dataclass(frozen=True)
class Calibration:
    """Calibration windows and their provenance.

    `lengths`: the number of text tokens in each window, after which there is padding; None when no window has padding.
    `source`: the name or file that was given. `mode`: None for a source without modes. `bos`: whether every window
    begins with BOS; None for windows given as token ids. `samples` and `seqlen` are the shape of `windows`; `sha256` is
    the hash of the windows and lengths.
    """

    windows: Int[Tensor, "samples tokens"]
    lengths: Int[Tensor, " samples"] | None
    source: str
    mode: str | None
    samples: int
    seqlen: int
    seed: int
    sha256: str
    bos: bool | None = None

    @property
    def tokens(self) -> int:
        """The number of tokens without padding."""
        return self.windows.numel() if self.lengths is None else int(self.lengths.sum())


def calibration_windows(
    name_or_file: str | Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    context: int,
    mode: str | None = None,
    samples: int | None = None,
    seqlen: int | None = None,
    seed: int = 0,
    bos: str = "auto",
    data: Path | None = None,
) -> Calibration:
    """Read a calibration set and cut it into windows. A set given by name is read from `data`/calibration or, if it is
    not there, from the hub.

    `context` is the model's context length. `mode` is only for sets of examples; the default is `concat`. The default
    of `samples` is 128, that of `seqlen` is min(2048, context). The windows of a .safetensors file are all used, at
    full length, unless `samples` or `seqlen` is given. The same seed gives the same windows. `bos`: whether each window
    begins with the tokenizer's BOS, which is included in `seqlen`: `always`, `never`, or `auto` (if the tokenizer adds
    one to a text).

    Raises BadInput for an unknown name or mode, an invalid size, or a missing tokenizer or BOS; BadData for a file that
    is missing, malformed or too short, and when the hub cannot be reached.
    """
    for label, value in (("samples", samples), ("seqlen", seqlen)):
        if value is not None and value < 1:
            raise BadInput(f"{label} {value} is not a positive number")
    if seqlen is not None and seqlen > context:
        raise BadInput(f"seqlen {seqlen} is more than the {context} tokens that the model reads; give a smaller one")
    name = str(name_or_file)
    chosen = _mode(name, mode)
    lengths, has_bos = None, None
    if name not in CALIBRATION_SETS and Path(name).suffix == ".safetensors":
        if bos == "always":
            raise BadInput(f"{name}: windows of token ids are used unchanged: leave bos out")
        windows = _stored_windows(_calibration_file(name), samples, seqlen, context)
    else:
        if tokenizer is None:
            raise BadInput(
                f"the model has no tokenizer: {name} cannot become tokens; give input_ids in a .safetensors file"
            )
        extent = (samples or SAMPLES, seqlen or min(LONGEST, context))
        start = window_start(tokenizer, bos)
        windows, lengths = _windows(name, chosen, tokenizer, extent, random.Random(seed), data, start)
        has_bos = bool(start)
    return Calibration(
        windows, lengths, name, chosen, len(windows), windows.shape[1], seed, _fingerprint(windows, lengths), has_bos
    )


def _mode(name: str, mode: str | None) -> str | None:
    """Return `mode`, or the default for a set of examples if it is None; None for a source without modes. Raises
    BadInput for an unknown mode, and for a mode given for a source without modes."""
    if mode is not None and mode not in MODES:
        raise BadInput(f"mode {mode!r} is unknown: {' or '.join(MODES)}")
    if name in EXAMPLE_SETS or (name not in CALIBRATION_SETS and Path(name).suffix == ".jsonl"):
        return mode or MODES[0]
    if mode is not None:
        raise BadInput(
            f"{name} is not a set of examples and has no mode {mode!r}: leave it out, or take one of "
            f"{', '.join(EXAMPLE_SETS)} or a .jsonl file"
        )
    return None


def _windows(
    name: str,
    mode: str | None,
    tokenizer: PreTrainedTokenizerBase,
    extent: tuple[int, int],
    rng: random.Random,
    data: Path | None,
    begin: tuple[int, ...],
) -> tuple[Int[Tensor, "samples tokens"], Int[Tensor, " samples"] | None]:
    """Return the windows and, if any is padded, their lengths. `extent` is (samples, seqlen); `begin` are the ids that
    each window begins with."""
    start: Start = begin or None  # None as in the published code: special tokens only around the whole text or page
    match name:
        case "c4":
            return document_windows(documents(name, data), tokenizer, *extent, rng, start=start), None
        case "wikitext2" | "ptb":
            return _running_text_windows(" ".join(lines(name, data)), tokenizer, extent, rng, start), None
    if name in TASK_TEXTS:
        texts, between = documents(name, data), BETWEEN
    else:
        path = DEMO_TEXT if name == "demo" else _calibration_file(name)
        if path.suffix == ".txt":
            return _running_text_windows(file_text(path), tokenizer, extent, rng, start), None
        texts, between = file_documents(path), "\n"
    if mode == "concat":
        return joined_windows(texts, tokenizer, *extent, rng, between=between, start=begin), None
    windows, lengths = single_windows(texts, tokenizer, *extent, rng, start=begin)
    return windows, None if bool((lengths == windows.shape[1]).all()) else lengths


def _running_text_windows(
    text: str, tokenizer: PreTrainedTokenizerBase, extent: tuple[int, int], rng: random.Random, start: Start
) -> Int[Tensor, "samples tokens"]:
    """Return random windows of a running text."""
    return random_windows(tokens_of(tokenizer, text, special=start is None), *extent, rng, start=start)


def _stored_windows(path: Path, samples: int | None, seqlen: int | None, context: int) -> Int[Tensor, "samples tokens"]:
    """Read `input_ids` of a .safetensors file, cut to `samples` and `seqlen` if given. Raises BadData if they are
    missing, too small, or longer than the context."""
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadData(f"{path}: not a readable safetensors file ({error})") from error
    if "input_ids" not in stored:
        raise BadData(
            f"{path}: holds {', '.join(sorted(stored)[:3]) or 'nothing'}; input_ids [samples, tokens] are needed"
        )
    ids = stored["input_ids"]
    if ids.dim() != 2 or not ids.numel() or ids.is_floating_point() or ids.dtype == torch.bool:
        raise BadData(
            f"{path}: input_ids are {ids.dtype} {list(ids.shape)}; whole numbers [samples, tokens] are needed"
        )
    for label, wanted, there in (("samples", samples, ids.shape[0]), ("seqlen", seqlen, ids.shape[1])):
        if wanted is not None and wanted > there:
            raise BadData(
                f"{path}: {label} {wanted} asked for, but input_ids are {list(ids.shape)}; give at most {there}"
            )
    windows = ids[:samples, :seqlen].long().contiguous()
    if windows.shape[1] > context:
        raise BadData(f"{path}: windows of {windows.shape[1]} tokens, but the model reads {context}; give a seqlen")
    return windows


def _calibration_file(name: str) -> Path:
    """Return the path of a user's calibration file. Raises BadData if it does not exist, BadInput if `name` is neither
    a known calibration set nor ends like a calibration file."""
    path = Path(name).expanduser()
    if path.suffix in FILES and path.is_file():
        return path
    if path.suffix in FILES:
        raise BadData(f"{path}: no such calibration file")
    near = get_close_matches(name, CALIBRATION_SETS, n=1)
    raise BadInput(
        f"calibration {name!r} is unknown{f' (did you mean {near[0]}?)' if near else ''}: "
        f"{', '.join(CALIBRATION_SETS)}, or a file that ends in {', '.join(FILES)}"
    )


def _fingerprint(windows: Int[Tensor, "samples tokens"], lengths: Int[Tensor, " samples"] | None) -> str:
    """Return the SHA-256 of the windows' shape and ids, and of the lengths."""
    shape = "x".join(map(str, windows.shape))
    content = hashlib.sha256(shape.encode() + windows.numpy().astype("<i8").tobytes())
    if lengths is not None:
        content.update(lengths.numpy().astype("<i8").tobytes())
    return content.hexdigest()
