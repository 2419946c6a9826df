"""Loads a language model from a folder or the hub, or the demo model that ships with the project.

Only safetensors are read, and code that comes with a model is never run.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from prunescope.lm import hub
from prunescope.lm.causality import check_causal
from prunescope.lm.checkpoint import floating_type, read_checkpoint, weight_files
from prunescope.lm.errors import DeviceUnavailable, ModelNotFound, NoSafetensors, UnsupportedModel
from prunescope.lm.folders import is_lfs_pointer, other_kind, without_config
from prunescope.lm.tokenizer import load_tokenizer
from prunescope.lm.weights import first_line, load_weights

DEMO = Path(__file__).parents[1] / "demo" / "model"

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
HUB_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?)(@(?P<revision>[\w./-]+))?")
OLD_QUANTISATION = ("quantize_config.json", "quant_config.json")
"""Files in which older GPTQ and AWQ checkpoints describe their quantisation; newer ones use config.json."""


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model with its tokenizer (None if it has none), reference, dtype and device.

    `dtype` is the checkpoint's dtype, in which a pruned model is saved; `model.dtype` is the dtype of computation.
    `device` is where the weights are and computations run. With `load(..., resident=False)`, however, the weights are
    in host memory in the checkpoint's dtype; a caller that runs a part of the model copies that part to `device` and
    converts it.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    reference: str
    dtype: torch.dtype
    device: torch.device


def load(reference: str | Path, *, device: str = "auto", dtype: str = "auto", resident: bool = True) -> LanguageModel:
    """Load 'demo', an existing folder, or a hub id with an optional `@revision`. The model is in eval mode and its
    parameters require no gradient. `pruned:<id>` is not accepted; the caller replaces it by the folder.

    `device`: see `choose_device`. `dtype`: the dtype of computation, see `choose_dtype`. With `resident=False` the
    weights stay in host memory in the checkpoint's dtype, as memory-mapped pages of its files. They are not moved to
    `device` or converted to `dtype`; pruning does this one layer at a time.

    Raises ModelNotFound when there is no such folder or hub id, NoSafetensors for a folder without readable
    safetensors, UnsupportedModel for an unsupported architecture, DeviceUnavailable for an unknown or missing device or
    dtype.
    """
    place = choose_device(device)
    folder = find(reference)
    config = _config(folder, str(reference))
    checkpoint = read_checkpoint(folder, str(reference))
    own = STORED[floating_type(checkpoint, str(reference), STORED)]
    chosen = choose_dtype(dtype, place, own)  # also if it is not used, so that an unknown name is always an error
    with _without_progress_bar():
        model: Any = load_weights(
            checkpoint, config, chosen if resident else own, str(reference), _generation(folder, str(reference))
        )
    model.config.name_or_path = str(folder)
    model.eval().requires_grad_(False)
    tokenizer = load_tokenizer(folder, str(reference), model)
    if resident:
        model = model.to(place)
    check_causal(model, str(reference), resident=resident)
    return LanguageModel(model, tokenizer, str(reference), own, place)


def find(reference: str | Path) -> Path:
    """Return the local folder of a model reference, with a config and safetensors; it is downloaded from the hub if
    necessary.

    Raises ModelNotFound when there is no such folder or hub id, NoSafetensors when the folder has no complete
    safetensors.
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
    """Return the local folder of a hub id with an optional `@revision`, even when there is a local folder of that name.
    Raises the same errors as `find`."""
    parts = HUB_ID.fullmatch(reference)
    if parts is None:
        raise ModelNotFound(f"{reference}: no such folder, and not a hub id (owner/name or owner/name@revision)")
    folder = hub.model_folder(parts["repository"], parts["revision"])
    _check_folder(folder, reference)
    return folder


def choose_device(name: str) -> torch.device:
    """Return the device of 'auto' (a GPU if there is one), 'cpu', 'cuda' or 'cuda:<number>'. Raises DeviceUnavailable
    for any other name or a missing device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", name):
        raise DeviceUnavailable(f"device {name!r} is unknown: auto, cpu, cuda or cuda:1 (any number)")
    device = torch.device(name)
    # The index is read from the name, because torch keeps it in one byte.
    if device.type == "cuda" and int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(
            f"device {name!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu"
        )
    return device


def choose_dtype(name: str, device: torch.device, own: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in: 'auto' is float32 on a CPU and the checkpoint's dtype (`own`) on a GPU.

    Raises DeviceUnavailable for an unknown name.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else own
    if name not in DTYPES:
        raise DeviceUnavailable(f"dtype {name!r} is unknown: auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def _check_folder(folder: Path, reference: str) -> None:
    """Raise NoSafetensors or ModelNotFound, with the reason, for a folder that is not a complete model."""
    if (other := other_kind(folder)) is not None:
        raise NoSafetensors(f"{reference}: {other}")
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{reference}: {without_config(folder)}")
    weight_files(folder, reference)


def _config(folder: Path, reference: str) -> PretrainedConfig:
    """Load the model's config. Raises UnsupportedModel for an invalid config, a quantised model, or one with an
    encoder."""
    written = _config_json(folder, reference)
    if isinstance(written.get("quantization"), dict):
        raise _quantised(reference, "MLX")
    for name in OLD_QUANTISATION:
        if (folder / name).is_file() and "quantization_config" not in written:
            raise _quantised(reference, f"{name} lies in its folder")
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        parts = (config, config.get_text_config(decoder=True))
    except Exception as error:  # config classes raise arbitrary types
        raise UnsupportedModel(
            f"{reference}: its config.json is not understood ({first_line(error)}); "
            f"code that comes with a model is never run"
        ) from error
    for part in parts:
        if (quantised := getattr(part, "quantization_config", None)) is not None:
            method = quantised.get("quant_method") if isinstance(quantised, dict) else None
            raise _quantised(reference, str(method or "its config does not say how"))
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModel(
            f"{reference} has an encoder beside its decoder ({config.model_type}); give a decoder-only language model"
        )
    return config


def _config_json(folder: Path, reference: str) -> dict[str, Any]:
    """Return the content of config.json as a dict. Raises UnsupportedModel."""
    path = folder / "config.json"
    if is_lfs_pointer(path):
        raise UnsupportedModel(f"{reference}: its config.json is a Git LFS pointer; run `git lfs pull`")
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedModel(f"{reference}: its config.json is not understood ({first_line(error)})") from error
    if not isinstance(written, dict):
        raise UnsupportedModel(f"{reference}: its config.json is not understood (no JSON object)")
    return written


def _quantised(reference: str, how: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"{reference} is quantised ({how}): its packed weights cannot be pruned; give the model before quantisation"
    )


def _generation(folder: Path, reference: str) -> GenerationConfig | None:
    """Return the folder's generation config; None when it has none, in which case the model's config applies."""
    if not (folder / "generation_config.json").is_file():
        return None
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # its checks raise arbitrary types
        raise UnsupportedModel(
            f"{reference}: its generation_config.json is not understood ({first_line(error)}); correct or remove it"
        ) from error


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
