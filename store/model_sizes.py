"""Sizes of models, from their files; no model is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path

from prunescope.jobs.hub_cache import cached_folder
from prunescope.jobs.problems import Problem
from prunescope.jobs.references import FolderModel, HubModel, parse_reference
from prunescope.jobs.settings import Settings


@dataclass(frozen=True)
class ModelSize:
    """Bytes of a model's weights as they are stored, and the number of its decoder layers (None: unknown)."""

    weights: int
    layers: int | None


def model_size(reference: str, settings: Settings) -> ModelSize | None:
    """The size of a dense model; None if it is not on this machine, or not a model."""
    try:
        found = parse_reference(reference, settings)
    except Problem:
        return None
    match found:
        case FolderModel(path):
            return _size(path)
        case HubModel(name):
            folder = cached_folder(name)
            return None if folder is None else _size(folder)
        case _:
            return None


def _size(folder: Path) -> ModelSize | None:
    try:
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    layers = next((config[name] for name in _LAYERS if isinstance(config.get(name), int)), None)
    return ModelSize(weights, layers) if weights else None


_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
"""Names of the number of decoder layers in the configurations of different families."""
