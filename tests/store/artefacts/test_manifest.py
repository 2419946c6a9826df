import hashlib
import json
from pathlib import Path

import pytest

from prunescope.store.artefacts.manifest import (
    MANIFEST,
    Damaged,
    read_manifest,
    verify,
    verify_bytes,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    artefact = tmp_path / "models" / "0123456789abcdef"
    (artefact / "group").mkdir(parents=True)
    (artefact / "model.safetensors").write_bytes(b"weights")
    (artefact / "group" / "0").write_bytes(b"chunk")
    write_manifest(artefact)
    return artefact


def test_each_file_has_its_checksum_by_its_relative_name(folder):
    document = json.loads((folder / MANIFEST).read_text())
    assert document == {
        "algorithm": "sha256",
        "files": {
            "group/0": {"sha256": hashlib.sha256(b"chunk").hexdigest(), "bytes": 5},
            "model.safetensors": {"sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7},
        },
    }
    verify(folder)


def test_a_flipped_byte_is_named_with_what_to_do(folder):
    (folder / "model.safetensors").write_bytes(b"weighty")
    with pytest.raises(Damaged) as raised:
        verify(folder, remedy="prune again with force")
    assert raised.value.code == "damaged" and raised.value.file == "model.safetensors"
    assert str(raised.value) == (
        "models/0123456789abcdef is damaged: model.safetensors is not what was written (its sha256 differs); "
        "prune again with force"
    )
    verify(folder, ["group/0"])  # the others are as they were


@pytest.mark.parametrize("contents", [b"weight", b"weights and more"])
def test_a_cut_or_longer_file_is_named(folder, contents):
    (folder / "model.safetensors").write_bytes(contents)
    with pytest.raises(Damaged, match=f"has {len(contents)} bytes, not the 7"):
        verify(folder)


def test_a_missing_file_is_named(folder):
    (folder / "group" / "0").unlink()
    with pytest.raises(Damaged, match="group/0 cannot be read"):
        verify(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"algorithm": "sha256"}', '{"algorithm": "md5", "files": {}}', "[" * 10**5]
)
def test_a_damaged_manifest_is_named(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(Damaged, match=r"manifest\.json"):
        verify(folder)


def test_a_folder_without_a_manifest_is_read_as_it_is(tmp_path):
    assert read_manifest(tmp_path) is None
    verify(tmp_path)


def test_contents_at_hand_are_compared_without_reading_them_again(folder):
    known = read_manifest(folder)
    (folder / "group" / "0").unlink()
    verify_bytes(folder, "group/0", b"chunk", known)
    with pytest.raises(Damaged, match="group/0 is not what was written"):
        verify_bytes(folder, "group/0", b"chonk", known)
    with pytest.raises(Damaged, match="not in the artefact's manifest"):
        verify_bytes(folder, "other", b"", known)


def test_names_leave_out_the_manifest_itself(folder):
    assert MANIFEST not in read_manifest(Path(folder))
