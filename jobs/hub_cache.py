"""Models in the local cache of the Hugging Face hub, found by their folders; the hub is not contacted."""

from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

_PREFIX = "models--"
MAX_CACHED = 200
"""Maximum number of cached models that are listed."""


def cached_models(cache: Path | None = None) -> list[str]:
    """The hub ids of cached models that have weights in safetensors format, by name. `cache` None: the user's cache."""
    found = [
        folder.name.removeprefix(_PREFIX).replace("--", "/", 1)
        for folder in sorted(_cache(cache).glob(f"{_PREFIX}*"))
        if _snapshot(folder) is not None
    ]
    return found[:MAX_CACHED]


def cached_folder(name: str, cache: Path | None = None) -> Path | None:
    """The folder of the newest cached snapshot of a hub id; None if there is none with weights."""
    return _snapshot(_cache(cache) / f"{_PREFIX}{name.replace('/', '--')}")


def _cache(given: Path | None) -> Path:
    return Path(HF_HUB_CACHE) if given is None else given


def _snapshot(folder: Path) -> Path | None:
    try:
        complete = [
            path
            for path in (folder / "snapshots").iterdir()
            if (path / "config.json").is_file() and any(path.glob("*.safetensors"))
        ]
        return max(complete, key=lambda path: path.stat().st_mtime, default=None)
    except OSError:
        return None
