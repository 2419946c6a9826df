"""Converts command-line options to fields of a job's spec."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunescope.cli.documents import read_yaml
from prunescope.errors import Refusal
from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadData
from prunescope.lm.rows import file_values


def key_values(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """Parse `key=value` pairs into a dictionary. Values are read as YAML, so that numbers and booleans are converted.
    Raises Refusal, naming `option`, for a malformed pair and for the key `name`, which has an option of its own."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise Refusal(f"{option} {pair!r} is not of the form key=value")
        if key == "name":
            raise Refusal(f"{option} name=...: the name is --{'method' if option == '--option' else 'allocation'}")
        options[key] = read_yaml(value, f"{option} {key}")
    return options


def names(text: str) -> list[str]:
    """Split a comma-separated list of names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def causal_stage(
    task: str | None, limit: int | None, draws: int | None, neurons: int | None, layers: str | None
) -> dict[str, Any] | None:
    """The field `causal` of an attribution's spec from the options --causal-*; None if --causal (`task`) is not given.
    Raises Refusal if one of the other options is given without it, and for invalid `layers`."""
    given: dict[str, Any] = {"limit": limit, "draws": draws, "neurons": neurons, "layers": layers}
    chosen = {name: value for name, value in given.items() if value is not None}
    if task is None:
        if chosen:
            raise Refusal(f"--causal-{next(iter(chosen))} needs --causal: name its task, or leave it out")
        return None
    if layers is not None:
        chosen["layers"] = numbers(layers, "--causal-layers")
    if limit == 0:
        chosen["limit"] = None
    return {"task": task, **chosen}


def numbers(text: str, option: str) -> list[int]:
    """Parse comma-separated integers. Raises Refusal, naming `option`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise Refusal(f"{option} {text!r} is not a list of numbers with commas between them: 0,1,15") from None


def text_rows(texts: Path) -> list[dict[str, Any]]:
    """Read the rows of the JSON Lines file of --texts: each has `text`, and `label` and `words` if they are given;
    other fields are ignored. Raises Refusal, naming line and field, for an invalid row, and for a file without rows."""
    rows = []
    try:
        for place, row in file_values(texts):
            if not isinstance(row, dict) or "text" not in row:
                raise Refusal(f'--texts {place}: has no \'text\'; a row is {{"text": ..., "label"?, "words"?}}')
            fields = {key: row[key] for key in ("text", "label", "words") if row.get(key) is not None}
            for key, value in fields.items():
                parts = value if isinstance(value, list) else [value]
                if isinstance(value, list) != (key == "words") or not all(isinstance(part, str) for part in parts):
                    needed = "a list of texts" if key == "words" else "a text"
                    raise Refusal(f"--texts {place}: field {key!r} is {repr(value)[:60]}, not {needed}")
                for part in parts:
                    if wrong := half_character(part):
                        raise Refusal(f"--texts {place}: field {key!r} {wrong}")
            rows.append(fields)
    except BadData as error:
        raise Refusal(f"--texts {error}") from None
    if not rows:
        raise Refusal(f"--texts {texts}: has no rows; give at least one text")
    return rows
