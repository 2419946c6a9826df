"""What lies beside a model's weights and belongs to it wherever it goes: configs, tokenizer, processors, licence."""

import shutil
from pathlib import Path

SUFFIXES = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".vocab", ".spm", ".bpe")
LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY")
OWN = ("pruning.json", "manifest.json", "trainer_state.json", "requirements.txt")
"""What an earlier pruning or training left, which is not true of the model that is written."""
TEMPLATES = "additional_chat_templates"
MAX_BYTES = 1 << 28
"""Larger files are data and nothing that a model is loaded with."""


def copy_companions(source: Path, target: Path) -> None:
    """Copy configs, tokenizer, chat templates, processors' settings and licences that `target` does not have.

    No code, no weights, no index of weights, and no README: it describes the model before. Links are followed; those
    that lead nowhere are passed over.
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
