"""Loading a language model from a folder, the hub, or the one that ships with the project.

Only safetensors are read and no code that comes with a model is ever run.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from lm import hub
from lm.errors import DeviceUnavailable, ModelNotFound, NoSafetensors, UnsupportedModel
from lm.tokenizer import load_tokenizer

DEMO = Path(__file__).parents[1] / "demo" / "model"

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
HUB_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class LanguageModel:
    """A model ready to run, and what belongs to it.

    `dtype` is the checkpoint's own type, the one a pruned model is saved in; `model.dtype` is the one it computes in.
    `device` is where it computes; the weights lie there too. One that was loaded with `resident=False` lies in host
    memory in its own type, and whoever runs a part of it brings that part where and to what it needs.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    reference: str
    dtype: torch.dtype
    device: torch.device


def load(reference: str | Path, *, device: str = "auto", dtype: str = "auto", resident: bool = True) -> LanguageModel:
    """Load 'demo', an existing folder, or a hub id with an optional `@revision`; eval mode, without gradients.

    With `resident=False` the weights stay in host memory in the checkpoint's own type, where they are pages mapped from
    its files that take no memory of ours: for the pruning walk, which copies one layer at a time to the device and
    converts it there.

    Raises ModelNotFound, NoSafetensors, UnsupportedModel, DeviceUnavailable.
    """
    place = choose_device(device)
    folder = find(reference)
    config = _config(folder, str(reference))
    own = _own_dtype(folder)
    chosen = choose_dtype(dtype, place, own)  # also where it is not needed: an unknown name is refused in any case
    with _without_progress_bar():
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=chosen if resident else own,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        except (SafetensorError, ValueError, RuntimeError, OSError, KeyError) as error:
            raise UnsupportedModel(f"{reference}: cannot be loaded: {_first_line(error)}") from error
    model: Any = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):
        # transformers would go on with random numbers in their place
        raise UnsupportedModel(
            f"{reference}: the checkpoint lacks {len(missing)} tensors, {missing[0]} first; save it again"
        )
    model.eval().requires_grad_(False)
    tokenizer = load_tokenizer(folder, str(reference), model)
    return LanguageModel(model.to(place) if resident else model, tokenizer, str(reference), own, place)


def find(reference: str | Path) -> Path:
    """The local folder of a reference, downloaded from the hub if need be; it holds a config and safetensors.

    Raises ModelNotFound, NoSafetensors.
    """
    folder = DEMO if str(reference) == "demo" else Path(reference).expanduser()
    if folder.is_dir():
        _check_folder(folder, str(reference))
        return folder
    if folder.exists():
        raise ModelNotFound(
            f"{reference} is a file; name the folder that holds the model's config.json and safetensors"
        )
    if folder == DEMO or isinstance(reference, Path):
        raise ModelNotFound(f"{reference}: no such folder, and not a hub id (owner/name or owner/name@revision)")
    return find_on_hub(reference)


def find_on_hub(reference: str) -> Path:
    """The local folder of a hub id with an optional `@revision`, whatever folders lie here. Raises as `find`."""
    parts = HUB_ID.fullmatch(reference)
    if parts is None:
        raise ModelNotFound(f"{reference}: no such folder, and not a hub id (owner/name or owner/name@revision)")
    folder = hub.model_folder(parts["repository"], parts["revision"])
    _check_folder(folder, reference)
    return folder


def choose_device(name: str) -> torch.device:
    """The device of 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:1'. Raises DeviceUnavailable."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DeviceUnavailable(f"device {name!r} is unknown: auto, cpu, cuda or cuda:1 (any number)")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(
            f"device {name!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return device


def choose_dtype(name: str, device: torch.device, own: torch.dtype) -> torch.dtype:
    """The number type to compute in: 'auto' is float32 on a CPU and the checkpoint's own type on a GPU.

    Raises DeviceUnavailable for an unknown name.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else own
    if name not in DTYPES:
        raise DeviceUnavailable(f"dtype {name!r} is unknown: auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def _check_folder(folder: Path, reference: str) -> None:
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{reference}: the folder has no config.json, so it is no model in Hugging Face form")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        absent = sorted({name for name in _shards(index) if not (folder / name).is_file()})
        if absent:
            raise NoSafetensors(
                f"{reference}: {len(absent)} of its safetensors are missing, {absent[0]} first; copy them"
            )
    elif not (folder / "model.safetensors").is_file():
        others = sorted(
            path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".safetensors")
        )
        found = f"only {others[0]}" if others else "no weights at all"
        raise NoSafetensors(
            f"{reference}: the folder has no model.safetensors ({found}); "
            f"only safetensors are read: load it where you trust it and save it again with save_pretrained"
        )


def _shards(index: Path) -> list[str]:
    try:
        return list(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoSafetensors(
            f"{index}: not an index of safetensors ({_first_line(error)}); save the model again"
        ) from error


def _own_dtype(folder: Path) -> torch.dtype:
    """The type that most of the checkpoint's numbers are stored in, read from the headers alone.

    Whole numbers count only where there is nothing else: small GPT-NeoX checkpoints hold more of causal masks than of
    weights, and weights packed into whole numbers are refused elsewhere, by their config or their shape.
    """
    index = folder / "model.safetensors.index.json"
    files = sorted(set(_shards(index))) if index.is_file() else ["model.safetensors"]
    numbers: Counter[str] = Counter()
    for name in files:
        try:
            with safe_open(folder / name, framework="pt") as stored:
                for key in stored.keys():  # noqa: SIM118 - the open file is no mapping
                    part = stored.get_slice(key)
                    kind = part.get_dtype()
                    if "F" in kind and kind not in STORED:
                        raise UnsupportedModel(
                            f"{folder}: {key} is stored as {kind} (quantised); give the model in {', '.join(DTYPES)}"
                        )
                    numbers[kind] += torch.Size(part.get_shape()).numel()
        except (SafetensorError, OSError) as error:
            raise NoSafetensors(f"{folder / name}: not a readable safetensors file ({_first_line(error)})") from error
    floats = Counter({kind: count for kind, count in numbers.items() if "F" in kind})
    kind = (floats or numbers or Counter({"nothing": 1})).most_common(1)[0][0]
    if kind not in STORED:
        raise UnsupportedModel(f"{folder}: stored as {kind} (quantised?); give the model in {', '.join(DTYPES)}")
    return STORED[kind]


def _config(folder: Path, reference: str) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        parts = (config, config.get_text_config(decoder=True))
    except (ValueError, OSError, KeyError) as error:
        raise UnsupportedModel(
            f"{reference}: its config.json is not understood ({_first_line(error)}); "
            f"code that comes with a model is never run"
        ) from error
    for part in parts:
        if (quantised := getattr(part, "quantization_config", None)) is not None:
            raise UnsupportedModel(
                f"{reference} is quantised ({quantised.get('quant_method', 'its config does not say how')}): "
                f"its packed weights cannot be pruned; give the model before quantisation"
            )
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModel(
            f"{reference} has an encoder beside its decoder ({config.model_type}); give a decoder-only language model"
        )
    return config


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
