"""Where calibration text comes from: a folder's files, the hub, or what ships with the project.

c4                                  <data>/calibration/c4.jsonl, else allenai/c4: pages
wikitext2, ptb                      <data>/calibration/<name>.train.txt, else the hub: lines
arc_challenge, arc_easy, boolq,
rte, sst2, wnli                     <data>/calibration/<name>.jsonl, else the hub: training rows, as `task_texts`
demo                                demo/calibration.jsonl: passages
a file of the user's                .jsonl with a `text` in each line, .txt, .safetensors
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lm.errors import BadData
from lm.hub import dataset_rows
from pruning.task_texts import TASK_TEXTS, Row

DEMO_TEXT = Path(__file__).parents[1] / "demo" / "calibration.jsonl"
C4_DOCUMENTS = 20_000  # streamed from the hub, out of 365 million


@dataclass(frozen=True)
class OnHub:
    """The training split of a data set on the hub."""

    repository: str
    config: str | None = None
    revision: str | None = None
    limit: int | None = None


HUB: dict[str, OnHub] = {
    "c4": OnHub("allenai/c4", "en", limit=C4_DOCUMENTS),
    "wikitext2": OnHub("Salesforce/wikitext", "wikitext-2-raw-v1"),
    # Its loader no longer runs; the hub's own conversion is read.
    "ptb": OnHub("ptb-text-only/ptb_text_only", revision="refs/convert/parquet"),
    "arc_challenge": OnHub("allenai/ai2_arc", "ARC-Challenge"),
    "arc_easy": OnHub("allenai/ai2_arc", "ARC-Easy"),
    "boolq": OnHub("google/boolq"),
    "rte": OnHub("nyu-mll/glue", "rte"),
    "sst2": OnHub("nyu-mll/glue", "sst2"),
    "wnli": OnHub("nyu-mll/glue", "wnli"),
}


def documents(name: str, data: Path | None) -> list[str]:
    """The pages of c4, or the training examples of a task as text. Raises BadData."""
    to_text = TASK_TEXTS.get(name, _document)
    path = _local(data, f"{name}.jsonl")
    rows = _hub_rows(name, f"{name}.jsonl") if path is None else _file_rows(path)
    return [to_text(row) for row in rows]


def lines(name: str, data: Path | None) -> list[str]:
    """The lines of wikitext2 or ptb, without their line ends. Raises BadData."""
    path = _local(data, f"{name}.train.txt")
    if path is not None:
        return file_text(path).removesuffix("\n").split("\n")
    field = "sentence" if name == "ptb" else "text"
    return [_line(row, field) for row in _hub_rows(name, f"{name}.train.txt")]


def file_documents(path: Path) -> list[str]:
    """The field `text` of each line of a .jsonl file. Raises BadData, which names file, line and field."""
    return [_document(row) for row in _file_rows(path)]


def file_text(path: Path) -> str:
    """A file's whole text. Raises BadData when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _line(row: Row, field: str) -> str:
    """One line of running text, which may be blank."""
    line = row.fields.get(field)
    if not isinstance(line, str):
        raise BadData(f"{row.place}: field {field!r} is missing or no text")
    return line.removesuffix("\n")


def _document(row: Row) -> str:
    return row.text("text")


def _local(data: Path | None, file: str) -> Path | None:
    if data is None:
        return None
    if not data.is_dir():
        raise BadData(f"data folder {data} does not exist; give one with calibration/{file} in it, or none")
    path = data / "calibration" / file
    return path if path.is_file() else None


def _hub_rows(name: str, file: str) -> Iterator[Row]:
    source = HUB[name]
    mend = f"put {file} into the folder calibration/ of the data folder (--data or PRUNESCOPE_DATA), or use demo"
    rows = dataset_rows(
        source.repository, source.config, "train", revision=source.revision, limit=source.limit, mend=mend
    )
    where = f"{source.repository}{f' ({source.config})' if source.config else ''}, split train"
    return (Row(row, f"{where}, row {number}") for number, row in enumerate(rows))


def _file_rows(path: Path) -> Iterator[Row]:
    """The rows of a JSON lines file, of which there is at least one; blank lines do not count."""
    empty = True
    for number, line in enumerate(file_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise BadData(f"{place}: not JSON ({error})") from error
        if not isinstance(fields, dict):
            raise BadData(f"{place}: no JSON object with named fields; it begins with {line.strip()[:40]}")
        empty = False
        yield Row(fields, place)
    if empty:
        raise BadData(f"{path}: has no rows; a line of it is one JSON object")
