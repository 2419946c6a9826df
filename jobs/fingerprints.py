"""Fingerprints of jobs: a hash of the canonical spec, of the contents of all models and files that the spec names, and
of the version of the numerics."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs import Spec

NUMERICS_VERSION = "3"
"""Incremented whenever the numerics give different results for the same spec, so that older results are not reused."""

NUMERICS_VERSIONS = {JobKind.ATTRIBUTE: "5", JobKind.EXPLAIN: "4"}
"""Version of the numerics for the kinds of job whose results changed alone; NUMERICS_VERSION for the others. Version 4
of attribute: words by `cot` come from a constrained answer, texts without words are left out; version 5: `gradient`
estimates the removal of a word by the attention that its tokens get. Version 4 of explain: each half of the rows ranks
the neurons for the other half."""

_MODEL_FILES = ("*.safetensors", "*.json", "*.model", "merges.txt", "vocab.txt")


def fingerprint(kind: JobKind | str, spec: Spec, contents: Mapping[str, str]) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON of a job's kind, its spec with all defaults, `contents` and
    the version of the numerics.

    `contents` identifies the content of each model and file that the spec names: `{"model facebook/opt-125m": "hub
    main", "file calib.txt": "sha256 ..."}`.
    """
    document = {
        "kind": str(kind),
        "spec": spec.model_dump(mode="json"),
        "contents": dict(contents),
        "numerics": NUMERICS_VERSIONS.get(JobKind(kind), NUMERICS_VERSION),
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def contents_of(path: Path) -> str:
    """`sha256 <hex>` of a file, or of the names and contents of a model folder's weights, configuration and tokenizer
    files.

    A file is not read again if its size and modification time are those of the last time that this process hashed it.
    """
    if path.is_dir():
        files = sorted({file for form in _MODEL_FILES for file in path.glob(form) if file.is_file()})
        return "sha256 " + _digest(f"{file.name} {_hash_of(file)}" for file in files)
    return "sha256 " + _hash_of(path)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _hash_of(file: Path) -> str:
    status = file.stat()
    return _hash_unchanged(file.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_unchanged(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
