"""Reads calibration text from local files, from the hub, or from the files that ship with the project.

c4                                  <data>/calibration/c4.jsonl, else allenai/c4: pages
wikitext2, ptb                      <data>/calibration/<name>.train.txt, else the hub: lines
arc_challenge, arc_easy, boolq,
rte, sst2, wnli                     <data>/calibration/<name>.jsonl, else the hub: training rows, see `task_texts`
demo                                demo/calibration.jsonl: passages
a user's file                       .jsonl with a `text` in each line, .txt, .safetensors
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prunescope.lm.errors import BadData
from prunescope.lm.hub import dataset_rows
from prunescope.lm.rows import Row, file_rows, file_text
from prunescope.pruning.task_texts import TASK_TEXTS

DEMO_TEXT = Path(__file__).parents[1] / "demo" / "calibration.jsonl"
C4_DOCUMENTS = 20_000  # the first of the hub's 365 million pages, which are streamed


@dataclass(frozen=True)
class OnHub:
    """Location of a data set's training split on the hub. `limit`: read only this many rows, by streaming; None reads
    all."""

    repository: str
    config: str | None = None
    revision: str | None = None
    limit: int | None = None


HUB: dict[str, OnHub] = {
    "c4": OnHub("allenai/c4", "en", limit=C4_DOCUMENTS),
    "wikitext2": OnHub("Salesforce/wikitext", "wikitext-2-raw-v1"),
    # The data set's loading script is no longer supported, so the hub's conversion to Parquet is read.
    "ptb": OnHub("ptb-text-only/ptb_text_only", revision="refs/convert/parquet"),
    "arc_challenge": OnHub("allenai/ai2_arc", "ARC-Challenge"),
    "arc_easy": OnHub("allenai/ai2_arc", "ARC-Easy"),
    "boolq": OnHub("google/boolq"),
    "rte": OnHub("nyu-mll/glue", "rte"),
    "sst2": OnHub("nyu-mll/glue", "sst2"),
    "wnli": OnHub("nyu-mll/glue", "wnli"),
}


def documents(name: str, data: Path | None) -> list[str]:
    """Return the pages of c4, or the training examples of a task as text. Raises BadData when a local file is malformed
    or the hub cannot be reached."""
    to_text = TASK_TEXTS.get(name, _document)
    path = _local(data, f"{name}.jsonl")
    rows = _hub_rows(name, f"{name}.jsonl") if path is None else file_rows(path)
    return [to_text(row) for row in rows]


def lines(name: str, data: Path | None) -> list[str]:
    """Return the lines of wikitext2 or ptb, without their line ends. Raises BadData when a local file is malformed or
    the hub cannot be reached."""
    path = _local(data, f"{name}.train.txt")
    if path is not None:
        return file_text(path).removesuffix("\n").split("\n")
    field = "sentence" if name == "ptb" else "text"
    return [row.passage(field).removesuffix("\n") for row in _hub_rows(name, f"{name}.train.txt")]


def _document(row: Row) -> str:
    return row.text("text")


def _local(data: Path | None, file: str) -> Path | None:
    """Return the path of `file` in the data folder; None when it is not there or no data folder is given. Raises
    BadData for a data folder that does not exist."""
    if data is None:
        return None
    if not data.is_dir():
        raise BadData(f"data folder {data} does not exist; give one with calibration/{file} in it, or none")
    path = data / "calibration" / file
    return path if path.is_file() else None


def _hub_rows(name: str, file: str) -> Iterator[Row]:
    source = HUB[name]
    advice = f"put {file} into the folder calibration/ of the data folder (--data or PRUNESCOPE_DATA), or use demo"
    rows = dataset_rows(
        source.repository, source.config, "train", revision=source.revision, limit=source.limit, advice=advice
    )
    where = f"{source.repository}{f' ({source.config})' if source.config else ''}, split train"
    return (Row(row, f"{where}, row {number}") for number, row in enumerate(rows))
