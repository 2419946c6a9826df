"""Model references: the four forms, and nothing outside the roots."""

import json
from pathlib import Path

import pytest

from prunescope.jobs.problems import Problem
from prunescope.jobs.references import (
    DEMO_FOLDER,
    FolderModel,
    HubModel,
    PrunedModel,
    parse_reference,
    resolve_file,
    resolve_model,
)
from prunescope.jobs.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "roots" / "llama"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    (folder / "config.json").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "text.txt").touch()
    return Settings(model_roots=(tmp_path / "roots", tmp_path / "missing"), data=tmp_path / "data")


def test_the_forms(settings: Settings, tmp_path: Path) -> None:
    folder = FolderModel(tmp_path / "roots" / "llama")
    assert parse_reference("llama", settings) == folder
    assert parse_reference("./llama", settings) == folder
    assert parse_reference(str(tmp_path / "roots" / "x" / ".." / "llama"), settings) == folder
    assert parse_reference("facebook/opt-125m", settings) == HubModel("facebook/opt-125m")
    assert parse_reference("gpt2@refs/pr/1", settings) == HubModel("gpt2", "refs/pr/1")
    assert parse_reference("pruned:0123456789abcdef", settings) == PrunedModel("0123456789abcdef")


def test_the_demo_ships_with_the_project(settings: Settings) -> None:
    if not DEMO_FOLDER.is_dir():
        pytest.skip("the demo model is not trained yet")
    assert parse_reference("demo", settings) == FolderModel(DEMO_FOLDER)


def test_resolving_gives_what_can_be_loaded(settings: Settings, tmp_path: Path) -> None:
    def pruned(name: str) -> Path:
        return tmp_path / name

    assert resolve_model("llama", settings, pruned) == tmp_path / "roots" / "llama"
    assert resolve_model("pruned:0123456789abcdef", settings, pruned) == tmp_path / "0123456789abcdef"
    assert resolve_model(" gpt2@main ", settings, pruned) == "gpt2@main"


@pytest.mark.parametrize(
    "text",
    [
        "/etc",
        "../data",
        "llama/../../data",
        "~/models",
        "~nobody/models",
        "a/b/c",
        "a\\b",
        "a\0b",
        "/",
        ".",
        "we ird",
        "",
        "-rf",
        "a--b/c",
        "a..b",
        "name@",
        "pruned:",
        "pruned:0123456789ABCDEF",
        "pruned:../../../etc/xx",
        "x" * 5000,
    ],
)
def test_anything_else_is_refused(settings: Settings, text: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_reference(text, settings, "dense")
    assert refused.value.status == 422
    assert [error.field for error in refused.value.errors] == ["dense"]


def test_the_answer_does_not_tell_what_lies_outside(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Problem) as there:
        parse_reference(str(tmp_path / "data"), settings)
    with pytest.raises(Problem) as nowhere:
        parse_reference(str(tmp_path / "nada"), settings)
    assert str(there.value).replace("data", "nada") == str(nowhere.value)


def test_a_folder_needs_its_files(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "roots" / "llama" / "config.json").unlink()
    with pytest.raises(Problem, match=r"holds no config\.json"):
        parse_reference("llama", settings)
    (tmp_path / "roots" / "llama" / "model.safetensors").unlink()
    with pytest.raises(Problem, match=r"no \.safetensors file"):
        parse_reference("llama", settings)


def test_without_roots_the_answer_says_how_to_name_some() -> None:
    with pytest.raises(Problem, match="PRUNESCOPE_MODEL_ROOTS"):
        parse_reference("/etc", Settings(model_roots=()))


def test_files_below_roots_and_data(settings: Settings, tmp_path: Path) -> None:
    assert resolve_file("text.txt", settings, "file") == tmp_path / "data" / "text.txt"
    for text in ("../data/text.txt/", "/etc/passwd", "nothing.txt", "a\0.txt"):
        if text.startswith("../data"):
            continue  # leads back into the data folder
        with pytest.raises(Problem, match="there is no file"):
            resolve_file(text, settings, "file")


def test_an_index_that_leads_out_of_the_folder(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "roots" / "llama"
    (tmp_path / "roots" / "other.safetensors").touch()
    for name in ("../other.safetensors", str(tmp_path / "roots" / "other.safetensors"), "/etc/passwd", "a/../../x"):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(Problem, match="lies outside of the folder") as refused:
            parse_reference("llama", settings, "dense")
        assert (refused.value.status, refused.value.errors[0].field) == (422, "dense")
    for text in ("[" * 10**5, "[]", '{"weight_map": 3}', '{"weight_map": {"a": "model.safetensors"}}'):
        (folder / "model.safetensors.index.json").write_text(text)
        assert parse_reference("llama", settings) == FolderModel(folder)  # what is wrong, the worker says


def test_links_that_lead_out_of_the_roots(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "roots" / "llama"
    (tmp_path / "secret.json").touch()
    (folder / "README.md").symlink_to(tmp_path / "gone")
    assert parse_reference("llama", settings) == FolderModel(folder)
    (tmp_path / "roots" / "blobs").mkdir()
    (tmp_path / "roots" / "blobs" / "0").touch()
    (folder / "tokenizer.json").symlink_to("../blobs/0")  # as a cache of the hub has them
    assert parse_reference("llama", settings) == FolderModel(folder)
    for name in ("LICENSE", "model-2.safetensors", "additional_chat_templates/a.jinja"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(tmp_path / "secret.json")
        with pytest.raises(Problem, match=f"{name} in 'llama' is a link that leads outside of the model roots"):
            parse_reference("llama", settings)
        (folder / name).unlink()
    (folder / "loop.json").symlink_to("loop.json")
    assert parse_reference("llama", settings) == FolderModel(folder)
    (folder / "parts").symlink_to(tmp_path)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "parts/secret.json"}}))
    with pytest.raises(Problem, match=r"parts/secret\.json in 'llama' is a link"):
        parse_reference("llama", settings)


def test_folders_of_other_kinds_are_named(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "roots" / "llama"
    (folder / "adapter_config.json").touch()
    with pytest.raises(Problem, match=r"holds an adapter.*merge it"):
        parse_reference("llama", settings)
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors").rename(folder / "model.gguf")
    with pytest.raises(Problem, match=r"holds no \.safetensors file but GGUF"):
        parse_reference("llama", settings)
