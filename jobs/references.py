"""Model references: how a spec names a model, and which folders and files a reference may resolve to.

demo                          the model that ships with the project
pruned:<16 hex digits>        a model that a prune job made
a folder                      below one of the configured model roots; all of its files must be below a model root too;
                              a relative path is looked up in each root
owner/name or owner/name@rev  a model on the hub; only the spelling is checked here
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.settings import Settings

DEMO = "demo"
DEMO_FOLDER = Path(__file__).resolve().parents[1] / "demo" / "model"
PRUNED = "pruned:"
MAX_INDEX_BYTES = 1 << 26
"""Maximum size of a safetensors index that is read when a job is submitted. The largest models have about 10 MB."""

_ARTEFACT_ID = re.compile(r"[0-9a-f]{16}")
_HUB = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?)(@(?P<revision>[\w][\w./-]{0,199}))?")
_FORMS = "a hub id (owner/name, with an optional @revision), a folder below a model root, demo, or pruned:<id>"


@dataclass(frozen=True)
class FolderModel:
    """A folder with a model in safetensors format: the demo model, or a folder below a model root."""

    path: Path


@dataclass(frozen=True)
class HubModel:
    """A model on the Hugging Face hub."""

    name: str
    revision: str = "main"


@dataclass(frozen=True)
class PrunedModel:
    """A model that a prune job has made or will make."""

    id: str


ModelReference = FolderModel | HubModel | PrunedModel


def parse_reference(text: str, settings: Settings, field: str = "model") -> ModelReference:
    """Parse a model reference. Raises Problem (422, naming `field`) if `text` has none of the forms of a reference, or
    if it names a folder outside the model roots or without a complete model in safetensors format."""
    text = text.strip()
    if text == DEMO:
        return _checked_folder(DEMO_FOLDER, text, field)
    if text.startswith(PRUNED):
        name = text.removeprefix(PRUNED)
        if not _ARTEFACT_ID.fullmatch(name):
            raise bad_field(
                field, text, "pruned:<16 hex digits>", f"{text!r} is no pruned model; its id has 16 hex digits"
            )
        return PrunedModel(name)
    if (folder := _find_below(settings.model_roots, text, Path.is_dir)) is not None:
        found = _checked_folder(folder, text, field)
        _check_inside(folder, settings, text, field)
        return found
    if _looks_like_a_path(text):
        raise _outside(text, settings, field)
    if (match := _HUB.fullmatch(text)) and ".." not in text and "--" not in text:
        return HubModel(match["name"], match["revision"] or "main")
    raise bad_field(field, text, _FORMS, f"{text!r} is no model reference; use {_FORMS}")


def resolve_model(text: str, settings: Settings, pruned: Callable[[str], Path], field: str = "model") -> Path | str:
    """The folder of a model, or its hub id as written in `text`. `pruned(id)` returns the folder of a pruned model
    (`Artefacts.fetch_model`). Raises Problem as `parse_reference` does."""
    match parse_reference(text, settings, field):
        case FolderModel(path):
            return path
        case PrunedModel(name):
            return pruned(name)
        case HubModel():
            return text.strip()


def named_models(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(field, reference) of every model that a spec's document names: `model`, `dense`, then `pruned` (one, or a list)
    and the list `models`."""
    named = [(field, spec.get(field)) for field in ("model", "dense")]
    for field in ("pruned", "models"):
        value = spec.get(field) or ()
        named += [(field, reference) for reference in ([value] if isinstance(value, str) else value)]
    return [(field, reference) for field, reference in named if isinstance(reference, str)]


def references_of(spec: Mapping[str, Any]) -> list[str]:
    """The reference of every model that a spec's document names."""
    return [reference for _, reference in named_models(spec)]


def canonical_reference(text: str, settings: Settings) -> str:
    """The canonical spelling of a model reference, equal for all references to the same model: `demo` for the demo
    folder, a path relative to its model root, a hub id without `@main`. A reference for which `parse_reference` raises
    is returned unchanged."""
    text = text.strip()
    if _is_demo(text):
        return DEMO
    try:
        found = parse_reference(text, settings)
    except Problem:
        return text
    match found:
        case FolderModel(path):
            return _short_path(path.resolve(), settings)
        case PrunedModel(name):
            return f"{PRUNED}{name}"
        case HubModel(name, revision):
            return name if revision == "main" else f"{name}@{revision}"


def _is_demo(text: str) -> bool:
    """Whether a reference is `demo` or the path of the demo model's folder. Does not depend on the model roots."""
    try:
        return text == DEMO or (text.startswith("/") and Path(text).resolve() == DEMO_FOLDER)
    except (OSError, RuntimeError, ValueError):
        return False


def _short_path(folder: Path, settings: Settings) -> str:
    """The canonical reference of a folder: `demo`, a path relative to a model root, or the absolute path."""
    if folder == DEMO_FOLDER:
        return DEMO
    for root in _existing(settings.model_roots):
        if folder.is_relative_to(root):
            name = str(folder.relative_to(root))
            # The absolute path if the relative one means another folder: one of an earlier root, or the demo model.
            if name not in {DEMO, "."} and _find_below(settings.model_roots, name, Path.is_dir) == folder:
                return name
    return str(folder)


def resolve_file(text: str, settings: Settings, field: str) -> Path:
    """The path of a file that a spec names, below a model root or the data folder. Raises Problem (422, naming `field`)
    for any other file."""
    roots = [*settings.model_roots, *([settings.data] if settings.data else [])]
    if (file := _find_below(roots, text, Path.is_file)) is not None:
        return file
    allowed = _roots_sentence(roots)
    raise bad_field(field, text, allowed, f"there is no file {text!r} below the folders that jobs may read: {allowed}")


def _find_below(roots: Sequence[Path], text: str, wanted: Callable[[Path], bool]) -> Path | None:
    """`text` resolved in the first root below which it lies and for which `wanted` is true; None if there is none."""
    for root in _existing(roots):
        try:
            path = (root / Path(text).expanduser()).resolve()
            if path.is_relative_to(root) and wanted(path):
                return path
        except (OSError, RuntimeError, ValueError):  # a name too long, a symlink loop, an unknown user, a null byte
            continue
    return None


def _existing(roots: Sequence[Path]) -> list[Path]:
    return [root.expanduser().resolve() for root in roots if root.expanduser().is_dir()]


def _looks_like_a_path(text: str) -> bool:
    name = text.partition("@")[0]
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name or "\0" in name


def _checked_folder(folder: Path, text: str, field: str) -> FolderModel:
    """The model in `folder`. Raises Problem (422) if it holds an adapter, no safetensors or no config.json."""
    if (folder / "adapter_config.json").is_file():
        message = (
            f"{text!r} holds an adapter, not a complete model; merge it into its base model and save the merged model"
        )
        raise bad_field(field, text, "a folder with a complete model", message)
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.safetensors.index*.json")):
        gguf = " but GGUF files; give the model that they were converted from," if any(folder.glob("*.gguf")) else ";"
        message = (
            f"{text!r} holds no .safetensors file{gguf} or save the model with "
            f"save_pretrained(..., safe_serialization=True)"
        ).replace("; or", ";")
        raise bad_field(field, text, "a folder with .safetensors files", message)
    if not (folder / "config.json").is_file():
        message = f"{text!r} holds no config.json; give a folder that save_pretrained wrote"
        raise bad_field(field, text, "a folder with config.json", message)
    return FolderModel(folder)


def _check_inside(folder: Path, settings: Settings, text: str, field: str) -> None:
    """Raise Problem (422) if the folder's safetensors index or symlinks lead to files outside the model roots. Dangling
    symlinks are ignored here; the worker reports those that it needs."""
    allowed = f"files below the model roots: {_roots_sentence(settings.model_roots)}"
    roots = _existing(settings.model_roots)
    templates = folder / "additional_chat_templates"
    files = [path for below in (folder, templates) if below.is_dir() for path in below.iterdir() if not path.is_dir()]
    named = [name for index in folder.glob("*.index*.json") for name in _names_of(index)]
    for name in named:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\0" in name:
            message = f"the index of safetensors in {text!r} names {name[:200]!r}, which lies outside of the folder"
            raise bad_field(field, text, "an index of files in the model's own folder", message)
    for path in [*files, *(folder / name for name in named)]:
        try:
            inside = not path.exists() or any(path.resolve().is_relative_to(root) for root in roots)
        except (OSError, RuntimeError):  # a symlink loop, a name too long
            continue
        if not inside:
            where = path.relative_to(folder).as_posix()
            raise bad_field(
                field, text, allowed, f"{where} in {text!r} is a link that leads outside of the model roots"
            )


def _names_of(index: Path) -> list[str]:
    """The file names in a safetensors index; empty for a malformed index, which the worker reports."""
    try:
        if index.stat().st_size > MAX_INDEX_BYTES:
            return []
        return sorted({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _outside(text: str, settings: Settings, field: str) -> Problem:
    # The message does not say whether the folder exists, so that nothing outside the roots is disclosed.
    allowed = _roots_sentence(settings.model_roots)
    return bad_field(field, text, allowed, f"there is no model folder {text!r} below the model roots: {allowed}")


def _roots_sentence(roots: Sequence[Path]) -> str:
    if not roots:
        return "none is configured (PRUNESCOPE_MODEL_ROOTS names them)"
    return ", ".join(str(root) for root in roots)
