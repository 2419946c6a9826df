"""The text whose activations steer pruning, as token windows.

c4          windows out of documents longer than a window, drawn as SparseGPT's and Wanda's authors draw them
wikitext2   train lines joined by one space, then random windows; ptb the same with its sentences
demo        the project's own calibration text, documents one after another
a file      .txt running text, then random windows; .jsonl documents (`text`) one after another;
            .safetensors `input_ids` [samples, tokens], taken as they are
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lm.errors import BadData, BadInput
from lm.hub import dataset_rows
from lm.windows import random_windows

CALIBRATION_SETS = ("c4", "wikitext2", "ptb", "demo")
FILES = (".txt", ".jsonl", ".safetensors")
DEMO_TEXT = Path(__file__).parents[1] / "demo" / "calibration.jsonl"
SAMPLES = 128
LONGEST = 2048  # also where a model reads more: a default of 131072 tokens would ask for 128 GiB
C4_DOCUMENTS = 20_000  # streamed from the hub, out of 365 million

# name: (repository, configuration, revision, field). ptb's loader no longer runs; the hub's own conversion is read.
HUB: dict[str, tuple[str, str | None, str | None, str]] = {
    "c4": ("allenai/c4", "en", None, "text"),
    "wikitext2": ("Salesforce/wikitext", "wikitext-2-raw-v1", None, "text"),
    "ptb": ("ptb-text-only/ptb_text_only", None, "refs/convert/parquet", "sentence"),
}


@dataclass(frozen=True)
class Calibration:
    """Calibration windows and how they came about; `sha256` is of the windows themselves."""

    windows: Int[Tensor, "samples tokens"]
    source: str
    samples: int
    seqlen: int
    seed: int
    sha256: str


def calibration_windows(
    name_or_file: str | Path,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    context: int,
    samples: int | None = None,
    seqlen: int | None = None,
    seed: int = 0,
    data: Path | None = None,
) -> Calibration:
    """Windows of a named set, looked for in `data`/calibration before the hub, or of a file.

    `context` is the most tokens the model reads. `samples` is 128 unless given, `seqlen` min(2048, context); windows
    from a .safetensors file are cut only where they are given. The same seed gives the same windows.

    Raises BadInput (an unknown name, a size that cannot be, no tokenizer), BadData (a file that is missing, malformed
    or too short, a hub that cannot be reached).
    """
    for label, value in (("samples", samples), ("seqlen", seqlen)):
        if value is not None and value < 1:
            raise BadInput(f"{label} {value} is not a positive number")
    if seqlen is not None and seqlen > context:
        raise BadInput(f"seqlen {seqlen} is more than the {context} tokens that the model reads; give a smaller one")
    name = str(name_or_file)
    if name not in CALIBRATION_SETS and Path(name).suffix == ".safetensors":
        windows = _stored_windows(_existing(name), samples, seqlen, context)
    else:
        if tokenizer is None:
            raise BadInput(
                f"the model has no tokenizer: {name} cannot become tokens; give input_ids in a .safetensors file"
            )
        rng = random.Random(seed)
        windows = _windows(name, tokenizer, samples or SAMPLES, seqlen or min(LONGEST, context), rng, data)
    return Calibration(windows, name, len(windows), windows.shape[1], seed, _sha256(windows))


def _windows(
    name: str, tokenizer: PreTrainedTokenizerBase, samples: int, seqlen: int, rng: random.Random, data: Path | None
) -> Int[Tensor, "samples seqlen"]:
    match name:
        case "c4":
            return document_windows(_texts(name, data), tokenizer, samples, seqlen, rng)
        case "wikitext2" | "ptb":
            return random_windows(_ids(tokenizer, " ".join(_texts(name, data))), samples, seqlen, rng)
        case "demo":
            return joined_windows(_rows(DEMO_TEXT), tokenizer, samples, seqlen, rng)
    path = _existing(name)
    if path.suffix == ".txt":
        return random_windows(_ids(tokenizer, _text(path)), samples, seqlen, rng)
    return joined_windows(_rows(path), tokenizer, samples, seqlen, rng)


def document_windows(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, samples: int, seqlen: int, rng: random.Random
) -> Int[Tensor, "samples seqlen"]:
    """For each window, draw documents until one has more than `seqlen` tokens, then draw the window's start in it.

    The draws are those of the authors' code with Python's `random`. Raises BadData, with the longest document's length,
    when no document is long enough.
    """
    tokenised: dict[int, Int[Tensor, " tokens"]] = {}
    windows: list[Int[Tensor, " seqlen"]] = []
    while len(windows) < samples:
        chosen = rng.randint(0, len(texts) - 1)
        if chosen not in tokenised:
            tokenised[chosen] = _ids(tokenizer, texts[chosen])
        ids = tokenised[chosen]
        if len(ids) > seqlen:
            start = rng.randint(0, len(ids) - seqlen - 1)
            windows.append(ids[start : start + seqlen])
        elif not windows and len(tokenised) == len(texts):  # every document was drawn, and none was long enough
            longest = max(len(ids) for ids in tokenised.values())
            raise BadData(
                f"no document has more than {seqlen} tokens, the longest has {longest}: "
                f"give a seqlen below {longest}, or longer documents"
            )
    return torch.stack(windows)


def joined_windows(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, samples: int, seqlen: int, rng: random.Random
) -> Int[Tensor, "samples seqlen"]:
    """For each window, append documents drawn at random, a newline between them, until it is full.

    The tokenizer's special tokens stand before the first document only.
    """
    if not any(text.strip() for text in texts):
        raise BadData("the calibration documents are empty; give some text")
    following = {text: _ids(tokenizer, f"\n{text}", special=False) for text in dict.fromkeys(texts)}
    windows = []
    for _ in range(samples):
        parts = [_ids(tokenizer, rng.choice(texts))]
        while sum(len(part) for part in parts) < seqlen:
            parts.append(following[rng.choice(texts)])
        windows.append(torch.cat(parts)[:seqlen])
    return torch.stack(windows)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, special: bool = True) -> Int[Tensor, " tokens"]:
    # Not verbose: a whole corpus is longer than the model's context, and is meant to be.
    return torch.tensor(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"], dtype=torch.long)


def _stored_windows(path: Path, samples: int | None, seqlen: int | None, context: int) -> Int[Tensor, "samples tokens"]:
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


def _texts(name: str, data: Path | None) -> list[str]:
    """A named set's documents or lines, from the data folder, else from the hub."""
    file = f"{name}.jsonl" if name == "c4" else f"{name}.train.txt"
    if data is not None and (path := data / "calibration" / file).is_file():
        return _rows(path) if name == "c4" else _text(path).splitlines()
    repository, config, revision, field = HUB[name]
    rows = dataset_rows(
        repository,
        config,
        "train",
        revision=revision,
        limit=C4_DOCUMENTS if name == "c4" else None,
        mend=f"put {file} into the folder calibration/ of the data folder (--data or PRUNESCOPE_DATA), or use demo",
    )
    return [str(row[field]).rstrip("\n") for row in rows]


def _existing(name: str) -> Path:
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _rows(path: Path) -> list[str]:
    """The `text` field of each line of a .jsonl file."""
    texts = list(_parsed(path))
    if not texts:
        raise BadData(f'{path}: has no rows; give lines such as {{"text": "..."}}')
    return texts


def _parsed(path: Path) -> Iterator[str]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadData(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise BadData(f"{path}, line {number}: field 'text' is missing or no string")
        yield row["text"]


def _sha256(windows: Int[Tensor, "samples tokens"]) -> str:
    shape = "x".join(map(str, windows.shape))
    return hashlib.sha256(shape.encode() + windows.numpy().astype("<i8").tobytes()).hexdigest()
