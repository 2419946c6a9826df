"""Downloads a model's safetensors or a dataset's rows from the Hugging Face hub.

Before any download, one request with a short timeout is sent, because the hub's client retries for a long time without
a network. Files downloaded earlier are used when the hub cannot be reached.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from prunescope.lm.errors import BadData, ModelNotFound, NoSafetensors

SECONDS = 10.0  # timeout of the first request
WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
VARIANT = re.compile(r"model\.\w+(-\d+-of-\d+)?\.safetensors")
# Files beside the weights: config, tokenizer, chat templates, licence; no code, no weights in other formats.
BESIDE = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "LICENSE*", "NOTICE*"]
WANTED = ["model.safetensors", "model-*-of-*.safetensors", *BESIDE]


def model_folder(repository: str, revision: str | None = None) -> Path:
    """Return the folder of a model's files (config, tokenizer, safetensors) in the hub's local cache, after downloading
    missing files.

    Raises ModelNotFound when there is no such model or revision, no access or no network; NoSafetensors when the
    repository has none.
    """
    name = repository + (f"@{revision}" if revision else "")
    try:
        info = HfApi().model_info(repository, revision=revision, timeout=SECONDS)
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{name} is gated: accept its licence on https://huggingface.co/{repository} and set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(
            f"{repository} has no revision {revision!r}: leave it out or name a branch, tag or commit"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"{name}: no such folder, and no such model on the hub (a private one needs HF_TOKEN to be set)"
        ) from error
    except Exception as error:  # without a network, the client's transport raises various types
        return _cached(repository, revision, name, error)
    files = [sibling.rfilename for sibling in info.siblings or []]
    if "adapter_config.json" in files:
        raise NoSafetensors(
            f"{name} is an adapter, which is not a model by itself; merge it into its base model and give that"
        )
    wanted = WANTED
    if "model.safetensors" in files:
        wanted = ["model.safetensors", *BESIDE]  # shards beside it contain the same weights
    elif not any(WEIGHTS.fullmatch(file) for file in files) and any(VARIANT.fullmatch(file) for file in files):
        wanted = ["model.*.safetensors", *BESIDE]
    elif not any(WEIGHTS.fullmatch(file) for file in files):
        raise NoSafetensors(
            f"{name} has no model.safetensors ({_others(files)}): only safetensors are read; "
            f"name a revision that has them, or convert it with save_pretrained"
        )
    try:
        # By name instead of commit, so that the cache can later be searched for the name without a network.
        return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, etag_timeout=SECONDS))
    except Exception as error:
        raise ModelNotFound(f"{name}: the download broke off ({_reason(error)}); try again to resume it") from error


def files_beside_weights(repository: str, revision: str | None = None) -> Path:
    """Return the folder of a model's config and tokenizer in the hub's local cache, after downloading missing files.
    Raises ModelNotFound."""
    try:
        HfApi().model_info(repository, revision=revision, timeout=SECONDS)
        return Path(snapshot_download(repository, revision=revision, allow_patterns=BESIDE, etag_timeout=SECONDS))
    except Exception as error:  # without a network, the client's transport raises various types
        try:
            return Path(snapshot_download(repository, revision=revision, allow_patterns=BESIDE, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            raise ModelNotFound(f"{repository} cannot be read from the hub ({_reason(error)})") from error


def dataset_rows(
    repository: str,
    config: str | None,
    split: str,
    *,
    advice: str,
    revision: str | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, object]]:
    """Iterate over the rows of a dataset on the hub; with `limit`, only the first rows are streamed.

    Raises BadData when the dataset cannot be read; the message ends with `advice`, the caller's advice to the user.
    """
    try:
        HfApi().dataset_info(repository, timeout=SECONDS)
        import datasets  # takes seconds to import, and is not installed where only local data is used

        with _without_progress_bars(datasets):
            rows = datasets.load_dataset(
                repository, config, split=split, revision=revision, streaming=limit is not None
            )
        yield from islice(rows, limit)
    except Exception as error:
        raise BadData(f"{repository} cannot be read from the hub ({_reason(error)}): {advice}") from error


@contextmanager
def _without_progress_bars(datasets: ModuleType) -> Iterator[None]:
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _cached(repository: str, revision: str | None, name: str, cause: Exception) -> Path:
    """Return the folder of files downloaded earlier. Raises ModelNotFound when there are none."""
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=WANTED, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise ModelNotFound(
            f"{name}: no such folder, and the hub cannot be reached ({_reason(cause)}): give a local folder or 'demo', "
            f"or download the model where there is a network and name its folder"
        ) from cause


def _others(files: list[str]) -> str:
    """Describe the weight files in other formats, for a repository without safetensors."""
    ends = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf", ".ot", ".safetensors")
    weights = [file for file in files if file.endswith(ends)]
    return f"it has {', '.join(weights[:3])}" if weights else "it has no weights at all"


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
