"""Models that were used last stay in memory, within a limit: a study does not load the same one for every cell."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch

from prunescope.jobs.references import PRUNED
from prunescope.lm.errors import foreign_errors
from prunescope.lm.loading import LanguageModel, choose_device, choose_dtype, find, load
from prunescope.store.artefacts.manifest import verify

KEPT_SHARE = {"cpu": 0.25, "cuda": 0.5}
"""Share of a device's whole memory that models which are not in use may fill."""

NONE: Mapping[str, LanguageModel] = MappingProxyType({})

Key = tuple[str, tuple[tuple[str, int, int], ...]]


class WarmModels:
    """Loads models and keeps the last ones. Nobody may change a model of `get`: a walk that prunes takes its `own`.

    Pruned models of ours are compared with their manifest when they are loaded; that raises Damaged.
    """

    def __init__(
        self,
        device: str = "auto",
        dtype: str = "auto",
        limit_bytes: int | None = None,
        loaded: Mapping[str, LanguageModel] = NONE,
    ) -> None:
        """`loaded` are models that the caller has loaded, by the references that specs call them."""
        self._device, self._dtype, self._limit, self._loaded = device, dtype, limit_bytes, loaded
        self._models: OrderedDict[Key, LanguageModel] = OrderedDict()

    def get(self, place: Path | str, reference: str) -> LanguageModel:
        """The model behind `place` (a folder or a hub id), called `reference` in messages. Raises as `load`."""
        if reference in self._loaded:
            return self._loaded[reference]
        folder = folder_of(place, reference)
        key = _key(folder)
        if key in self._models:
            self._models.move_to_end(key)
        else:
            self._make_room(sum(size for name, size, _ in key[1] if name.endswith(".safetensors")))
            self._models[key] = self._load(folder, reference, resident=True)
        return replace(self._models[key], reference=reference)

    def own(self, place: Path | str, reference: str) -> LanguageModel:
        """A model for the caller alone, to be changed at will; its weights are mapped from the checkpoint, in the type
        they have there, and `computed_in` says which type to compute in."""
        self._make_room(0)
        return replace(self._load(folder_of(place, reference), reference, resident=False), reference=reference)

    def computed_in(self, lm: LanguageModel) -> torch.dtype:
        """The number type that these settings compute in with a model."""
        return choose_dtype(self._dtype, lm.device, lm.dtype)

    def _load(self, folder: Path, reference: str, *, resident: bool) -> LanguageModel:
        if reference.startswith(PRUNED):
            verify(folder, remedy="prune it again with force")  # the one read, after which its pages are at hand
        with foreign_errors(f"{reference}: cannot be loaded"):
            return load(folder, device=self._device, dtype=self._dtype, resident=resident)

    def _make_room(self, coming: int) -> None:
        """Let the models go that were not used for longest, until the coming one fits beside the others."""
        limit = _limit(self._device) if self._limit is None else self._limit
        while self._models and sum(map(_bytes, self._models.values())) + coming > limit:
            self._models.popitem(last=False)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def folder_of(place: Path | str, reference: str) -> Path:
    """The folder of a model, whose files may be anything; that of a pruned one is an artefact, whose manifest says what
    belongs into it. Raises as `find`."""
    if reference.startswith(PRUNED):
        return Path(place)
    with foreign_errors(f"{place}: cannot be read"):
        return find(place)


def _key(folder: Path) -> Key:
    """The folder and the state of its files: a model that was written anew is another one."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return str(folder.resolve()), tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


def _bytes(lm: LanguageModel) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in lm.model.parameters())


def _limit(device: str) -> int:
    place = choose_device(device)
    if place.type == "cuda":
        total: int = torch.cuda.get_device_properties(place).total_memory
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(total * KEPT_SHARE[place.type])
