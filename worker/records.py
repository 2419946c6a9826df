"""Writes the JSON documents of results, and describes the environment in which a result was computed."""

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
    """Write a JSON document to `path`. Raises ValueError if it contains NaN or infinity."""
    path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")


def environment(lm: LanguageModel, computed_in: torch.dtype) -> dict[str, Any]:
    """The environment in which a result was computed, as a document: device, dtype of the computation, dtype of the
    weights, and versions of the libraries and of the numerics."""
    return {
        "device": str(lm.device),
        "dtype": str(computed_in).removeprefix("torch."),
        "saved_dtype": str(lm.dtype).removeprefix("torch."),
        "versions": {**{name: version(name) for name in LIBRARIES}, "numerics": NUMERICS_VERSION},
    }
