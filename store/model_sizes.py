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
    """Bytes of a model's weights as they are stored; the number of its decoder layers, and the width and the context
    length of its hidden states (None: unknown)."""

    weights: int
    layers: int | None
    width: int | None = None
    context: int | None = None


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
    layers, width, context = (_number(config, names) for names in (_LAYERS, _WIDTHS, _CONTEXTS))
    return ModelSize(weights, layers, width, context) if weights else None


def _number(config: dict[str, object], names: tuple[str, ...]) -> int | None:
    """The first of these settings that is an integer."""
    return next((value for name in names if isinstance(value := config.get(name), int)), None)


_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model")
_CONTEXTS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
"""Names of these numbers in the configurations of different families."""
