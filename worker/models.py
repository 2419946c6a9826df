"""A cache of recently used models, so that the cells of a study do not load the same model again."""

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
"""Maximum share of a device's total memory that cached models take, by device type."""

NONE: Mapping[str, LanguageModel] = MappingProxyType({})

Key = tuple[str, tuple[tuple[str, int, int], ...]]
"""(folder, (name, size, modification time) of each file)."""


class ModelCache:
    """Loads models and caches the most recently used ones. Models from `get` must not be changed; `own` loads a model
    that the caller may change.

    When a pruned model in the store is loaded, its files are compared with its manifest; Damaged is raised if they
    differ.
    """

    def __init__(
        self,
        device: str = "auto",
        dtype: str = "auto",
        limit_bytes: int | None = None,
        loaded: Mapping[str, LanguageModel] = NONE,
    ) -> None:
        """`limit_bytes` is the maximum size of the cached models; None: KEPT_SHARE of the device's memory. `loaded`
        maps references in specs to models that the caller has already loaded."""
        self._device, self._dtype, self._limit, self._loaded = device, dtype, limit_bytes, loaded
        self._models: OrderedDict[Key, LanguageModel] = OrderedDict()

    def get(self, place: Path | str, reference: str) -> LanguageModel:
        """Return the model at `place` (a folder or a hub id) from the cache, or load it. `reference` is its name in
        errors. Raises the errors of `lm.loading.load`."""
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
        """Load a model that the caller may change; it is not cached. Its weights are memory-mapped in the checkpoint's
        dtype; `computed_in` is the dtype to compute in."""
        self._make_room(0)
        return replace(self._load(folder_of(place, reference), reference, resident=False), reference=reference)

    def weights(self, place: Path | str, reference: str) -> LanguageModel:
        """Return a model of which only the weights are read beside another model of its size: the one that the caller
        has given for this reference, a cached one if the cache has room for both, else memory-mapped."""
        if reference in self._loaded:
            return self._loaded[reference]
        cached = self._models.get(_key(folder_of(place, reference)))
        if cached is None or 2 * _bytes(cached) > self._limit_of_cache:
            return self.own(place, reference)
        return replace(cached, reference=reference)

    def computed_in(self, lm: LanguageModel) -> torch.dtype:
        """The dtype in which to compute with this model, by the settings."""
        return choose_dtype(self._dtype, lm.device, lm.dtype)

    @property
    def _limit_of_cache(self) -> int:
        return _limit(self._device) if self._limit is None else self._limit

    def _load(self, folder: Path, reference: str, *, resident: bool) -> LanguageModel:
        if reference.startswith(PRUNED):
            verify(folder, remedy="prune it again with force")  # also brings the files into the page cache
        with foreign_errors(f"{reference}: cannot be loaded"):
            return load(folder, device=self._device, dtype=self._dtype, resident=resident)

    def _make_room(self, coming: int) -> None:
        """Remove the least recently used models from the cache until a model of `coming` bytes fits into the limit."""
        while self._models and sum(map(_bytes, self._models.values())) + coming > self._limit_of_cache:
            self._models.popitem(last=False)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def folder_of(place: Path | str, reference: str) -> Path:
    """The folder of the model at `place` (a folder or a hub id). The format of a pruned model in the store is not
    checked, because its manifest lists its files. Raises the errors of `lm.loading.find`."""
    if reference.startswith(PRUNED):
        return Path(place)
    with foreign_errors(f"{place}: cannot be read"):
        return find(place)


def _key(folder: Path) -> Key:
    """The cache key of a folder. It contains the sizes and modification times of the files, so that it changes when the
    model is written again."""
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
