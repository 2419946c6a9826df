"""Copies the files of a checkpoint that a pruned copy needs besides its weights: configs, tokenizer, processors,
licence."""

import shutil
from pathlib import Path

SUFFIXES = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".vocab", ".spm", ".bpe")
LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")
OWN = ("pruning.json", "manifest.json", "trainer_state.json", "requirements.txt")
"""Files that an earlier pruning or training wrote; they do not describe the new model, so they are not copied."""
TEMPLATES = "additional_chat_templates"
MAX_BYTES = 1 << 28
"""Maximum size of a file to copy; larger files are data that are not needed to load a model."""


def copy_companions(source: Path, target: Path) -> None:
    """Copy configs, tokenizer, chat templates, processor settings and licences from the folder `source` to `target`.
    Files that exist in `target` are not replaced.

    Code, weights, weight indexes and the README, which describes the original model, are not copied. The targets of
    symlinks are copied; dangling symlinks are skipped.
    """
    folders = [source, *([source / TEMPLATES] if (source / TEMPLATES).is_dir() else [])]
    for file in sorted(file for folder in folders for file in folder.iterdir() if _belongs(file)):
        place = target / file.relative_to(source)
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, place)


def _belongs(file: Path) -> bool:
    named = file.suffix in SUFFIXES or file.name.upper().startswith(LICENCES)
    index = ".index." in file.name and file.suffix == ".json"
    return named and not index and file.name not in OWN and file.is_file() and file.stat().st_size <= MAX_BYTES
