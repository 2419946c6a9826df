"""Reads held-out text for perplexity as token windows, cut as in the published code of GPTQ, SparseGPT and Wanda.

wikitext2   <data>/calibration/wikitext2.test.txt, else the hub's test split: its rows with two line ends between them
ptb         <data>/calibration/ptb.test.txt, else the hub's test split: its sentences with a space between them
c4          <data>/calibration/c4.valid.jsonl, else the first 1,100 pages of the hub's validation split, with a space
            between them; 256 windows by default
demo        the texts of demo/reviews.jsonl, which the demo model was not trained on, with a line end between them
a file      .txt: running text; .jsonl: the field `text` of its rows, with a line end between them

The whole text is tokenised at once and cut from its start into non-overlapping windows; an incomplete last window is
dropped. Each window begins with BOS if `bos` is `always`, or `auto` and the tokenizer adds BOS to a text. Otherwise, as
in the published code, special tokens are added to the whole text only.
"""

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from jaxtyping import Int
from torch import Tensor

from prunescope.lm.architecture import context_length
from prunescope.lm.errors import BadData, BadInput
from prunescope.lm.hub import dataset_rows
from prunescope.lm.loading import LanguageModel
from prunescope.lm.rows import Row, file_documents, file_text
from prunescope.lm.tokenizer import window_start
from prunescope.lm.windows import consecutive_windows, tokens_of

PERPLEXITY_SETS = ("wikitext2", "ptb", "c4", "demo")
FILES = (".txt", ".jsonl")
LONGEST = 2048
"""Default window length in tokens, also for models with a longer context, because most published figures use it."""

DEMO_TEXT = Path(__file__).parents[1] / "demo" / "reviews.jsonl"
C4_PAGES = 1100
C4_WINDOWS = 256


@dataclass(frozen=True)
class HeldOut:
    """Windows of held-out text.

    `source` is the file or hub dataset that the text was read from. `sha256` is the hash of the windows' tokens:
    perplexities with the same hash were measured on the same tokens. `bos`: whether each window begins with BOS.
    """

    name: str
    windows: Int[Tensor, "samples tokens"]
    source: str
    sha256: str
    bos: bool = False


@dataclass(frozen=True)
class _HubText:
    repository: str
    config: str | None
    split: str
    field: str
    revision: str | None = None
    limit: int | None = None

    @property
    def place(self) -> str:
        return f"{self.repository}{f' ({self.config})' if self.config else ''}, split {self.split}"


HUB = {
    "wikitext2": _HubText("Salesforce/wikitext", "wikitext-2-raw-v1", "test", "text"),
    # The dataset's loading script is no longer supported, so the hub's parquet conversion is read.
    "ptb": _HubText("ptb-text-only/ptb_text_only", None, "test", "sentence", revision="refs/convert/parquet"),
    "c4": _HubText("allenai/c4", "en", "validation", "text", limit=C4_PAGES),
}

_LOCAL = {"wikitext2": "wikitext2.test.txt", "ptb": "ptb.test.txt", "c4": "c4.valid.jsonl"}


def held_out_windows(
    lm: LanguageModel,
    name_or_file: str | Path,
    *,
    seqlen: int | None = None,
    windows: int | None = None,
    data: Path | None = None,
    name: str | None = None,
    bos: str = "auto",
) -> HeldOut:
    """Read held-out text and cut it into windows. The text is a file or one of PERPLEXITY_SETS; `data` is the folder
    with calibration/, which is searched before the hub (see the module's docstring).

    `seqlen` is the window length in tokens; None: min(2048, the model's context length). `windows` is the number of
    windows from the start; None: all, or the first 256 of c4, as in the published code. `name` replaces the file's name
    in the result and in errors. `bos`: whether each window begins with the tokenizer's BOS, which is part of `seqlen`:
    `always`, `never`, or `auto` (only if the tokenizer adds BOS to a text).

    Raises BadInput for an unknown name, an invalid `seqlen` or `windows`, and a missing tokenizer or BOS; BadData for a
    missing, malformed or too short file, or when the hub cannot be reached.
    """
    called = name or str(name_or_file)
    length = _length(lm, seqlen)
    if windows is not None and windows < 1:
        raise BadInput(f"windows is {windows}, but must be at least 1; leave it out for all")
    if lm.tokenizer is None:
        raise BadInput(f"{lm.reference} has no tokenizer, and perplexity needs one; save one beside the model")
    begin = window_start(lm.tokenizer, bos)
    if str(name_or_file) in PERPLEXITY_SETS:
        text, source = _text_of(str(name_or_file), data)
        most = C4_WINDOWS if str(name_or_file) == "c4" and windows is None else windows
    else:
        path = _existing(name_or_file)
        text = file_text(path) if path.suffix == ".txt" else "\n".join(file_documents(path))
        source, most = path.name, windows
    try:
        ids = tokens_of(lm.tokenizer, text, special=not begin)
        cut = consecutive_windows(ids, length, most, start=begin or None)
    except BadData as error:
        raise BadData(f"perplexity on {called}: {error}") from error
    shape = "x".join(map(str, cut.shape))
    sha256 = hashlib.sha256(shape.encode() + cut.numpy().astype("<i8").tobytes()).hexdigest()
    return HeldOut(called, cut, source, sha256, bool(begin))


def _length(lm: LanguageModel, seqlen: int | None) -> int:
    context = context_length(lm.model)
    if seqlen is None:
        return min(LONGEST, context)
    if seqlen < 2:
        raise BadInput(f"seqlen is {seqlen}, but must be at least 2 tokens: a window's first one is not predicted")
    if seqlen > context:
        raise BadInput(f"seqlen {seqlen} is more than the {context} tokens that the model reads; give a smaller one")
    return seqlen


def _text_of(name: str, data: Path | None) -> tuple[str, str]:
    """(text of a named set, file or hub dataset that it was read from)."""
    if name == "demo":
        return "\n".join(file_documents(DEMO_TEXT)), f"demo/{DEMO_TEXT.name}"
    path = _local(data, _LOCAL[name])
    if path is None:
        rows, source = _hub_rows(name), HUB[name].place
    else:
        rows, source = _file_rows(name, path), path.name
    return ("\n\n" if name == "wikitext2" else " ").join(rows), source


def _file_rows(name: str, path: Path) -> list[str]:
    """The rows of a local file, in the same format as the hub's rows."""
    match name:
        case "wikitext2":  # a row is a line with its line end, or empty for a blank line
            lines = file_text(path).removesuffix("\n").split("\n")
            return [f"{line}\n" if line.strip() else "" for line in lines]
        case "ptb":
            return [line.strip() for line in file_text(path).removesuffix("\n").split("\n")]
        case _:
            return file_documents(path)[:C4_PAGES]


def _hub_rows(name: str) -> list[str]:
    source = HUB[name]
    file = _LOCAL[name]
    advice = f"put {file} into the folder calibration/ of the data folder (--data or PRUNESCOPE_DATA), or name a file"
    found = dataset_rows(
        source.repository, source.config, source.split, revision=source.revision, limit=source.limit, advice=advice
    )
    rows = (Row(fields, f"{source.place}, row {number}") for number, fields in enumerate(found))
    return [row.passage(source.field) for row in rows]


def _local(data: Path | None, file: str) -> Path | None:
    if data is None:
        return None
    if not data.is_dir():
        raise BadData(f"data folder {data} does not exist; give one with calibration/{file} in it, or none")
    path = data / "calibration" / file
    return path if path.is_file() else None


def _existing(name: str | Path) -> Path:
    path = Path(name).expanduser()
    if path.suffix in FILES and path.is_file():
        return path
    if path.suffix in FILES:
        raise BadData(f"{path}: no such text file")
    near = get_close_matches(str(name), PERPLEXITY_SETS, n=1)
    raise BadInput(
        f"perplexity set {str(name)!r} is unknown{f' (did you mean {near[0]}?)' if near else ''}: "
        f"{', '.join(PERPLEXITY_SETS)}, or a file that ends in {', '.join(FILES)}"
    )
