"""Writes JSON documents beside results."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from prunescope.jobs.fingerprints import NUMERICS_VERSION
from prunescope.lm.loading import LanguageModel

LIBRARIES = ("prunescope", "torch", "transformers", "lm-eval", "numpy")


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document. Raises ValueError for NaN and infinity."""
    path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")


def circumstances(lm: LanguageModel, computed_in: torch.dtype) -> dict[str, Any]:
    """The environment of a result: device, dtype and library versions."""
    return {
        "device": str(lm.device),
        "dtype": str(computed_in).removeprefix("torch."),
        "saved_dtype": str(lm.dtype).removeprefix("torch."),
        "versions": {**{name: version(name) for name in LIBRARIES}, "numerics": NUMERICS_VERSION},
    }
