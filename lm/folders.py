"""Explains in error messages what a folder that is not a Hugging Face model contains, and how to convert it to one."""

import re
from pathlib import Path

LFS_MARK = b"version https://git-lfs.github.com/spec/"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
OTHERS = (*PICKLES, ".h5", ".msgpack", ".ot", ".onnx", ".npz", ".distcp")
UNFINISHED = (".incomplete", ".part", ".crdownload", ".aria2")
"""Suffixes of partially downloaded files."""
PART = re.compile(r"-\d+-of-\d+")


def not_there(path: Path) -> str | None:
    """Return why an existing path is not a regular file (such as a dangling symlink); None when it is a file or does
    not exist."""
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there; copy the file itself"
    if path.exists() and not path.is_file():
        return "is not a file; put the file itself there"
    return None


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file is a Git LFS pointer instead of the file's content."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(LFS_MARK)) == LFS_MARK
    except OSError:
        return False


def other_kind(folder: Path) -> str | None:
    """Return a description of a folder that contains something other than a complete model (an adapter, a diffusers
    pipeline); None when there is no sign of that."""
    if (folder / "adapter_config.json").is_file():
        return _adapter("adapter_config.json")
    if (folder / "model_index.json").is_file():
        return "the folder is a pipeline of diffusers (model_index.json), no language model; give a language model"
    return None


def _adapter(name: str) -> str:
    return (
        f"the folder holds an adapter ({name}), which is not a model by itself; merge it into its base model (peft: "
        f"merge_and_unload) and save that with save_pretrained"
    )


def without_config(folder: Path) -> str:
    """Return why a folder without a config.json is not a model, and what to do."""
    if (wrong := not_there(folder / "config.json")) is not None:
        return f"its config.json {wrong}"
    start = "the folder has no config.json"
    if below := _models_below(folder):
        return f"{start}, but its folder {below[0]} has one; name that one"
    if gguf := _first(folder, (".gguf",)):
        return f"{start}, only {gguf}: {_gguf()}"
    if (folder / "params.json").is_file():
        return (
            f"{start} but a params.json: the original format, not Hugging Face's; give the one with config.json "
            f"and model.safetensors"
        )
    return f"{start}, so it is not a model in Hugging Face format"


def without_weights(folder: Path) -> str:
    """Return why a folder with a config.json has no readable weights, and what to do."""
    start = "the folder has no model.safetensors"
    if (folder / "consolidated.safetensors").is_file():
        return (
            f"{start} but a consolidated.safetensors, whose tensors have the names of Mistral's own programs; give the "
            f"folder or revision with model.safetensors"
        )
    if gguf := _first(folder, (".gguf",)):
        return f"{start} but {gguf}: {_gguf()}"
    if adapter := min((path.name for path in folder.glob("adapter_model.*")), default=None):
        return _adapter(adapter)
    if (folder / "zero_to_fp32.py").is_file():
        return (
            f"{start}, only a training checkpoint of DeepSpeed; run `python zero_to_fp32.py . weights "
            f"--safe_serialization` in it and put the output there"
        )
    if unfinished := _first(folder, UNFINISHED):
        return f"{start}, only {unfinished}, a download that has not ended; resume it"
    if pickle := _first(folder, PICKLES):
        return (
            f"{start} (only {pickle}); only safetensors are read: load it where you trust it and save it again with "
            f"save_pretrained"
        )
    if other := _first(folder, OTHERS):
        return (
            f"{start} (only {other}); only safetensors are read: load it with the library that wrote it and save it as "
            f"a PyTorch model with save_pretrained"
        )
    if (other := _first(folder, (".safetensors",))) and PART.search(other):
        return (
            f"{start}, only shards with other names ({other}); if they are the model, rename them to "
            f"model-00001-of-0000n.safetensors up to model-0000n-of-0000n.safetensors"
        )
    if other:
        return f"{start} (only {other}); if that is the whole model, rename it to model.safetensors"
    if below := _models_below(folder):
        return f"{start}, but its folder {below[0]} is a model; name that one"
    return f"{start} (no weights at all); copy them there, or save the model again with save_pretrained"


def _gguf() -> str:
    return (
        "GGUF is a format for inference, mostly quantised; give the model that it was made from, or convert it "
        "(from_pretrained(folder, gguf_file=...), then save_pretrained)"
    )


def _first(folder: Path, suffixes: tuple[str, ...]) -> str | None:
    return min((path.name for path in folder.iterdir() if path.suffix in suffixes), default=None)


def _models_below(folder: Path) -> list[str]:
    """Return the folders with a config.json one or two levels below (such as snapshots in the hub's cache), as relative
    paths."""
    found = [*folder.glob("*/config.json"), *folder.glob("*/*/config.json")]
    return [str(path.parent.relative_to(folder)) for path in sorted(found, key=lambda path: (len(path.parts), path))]
