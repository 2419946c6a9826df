"""Neurons' names, fingerprints, settings, problem documents."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.jobs import fingerprints
from prunescope.jobs.bounds import MAX_ECHO
from prunescope.jobs.fingerprints import contents_of, fingerprint
from prunescope.jobs.neurons import format_neuron, parse_neuron
from prunescope.jobs.problems import MAX_ANSWERS, AnswerToText, Problem, bad_field, conflict, not_found
from prunescope.jobs.settings import LONGEST_SOCKET_PATH, Settings
from prunescope.jobs.specs import parse_spec


@given(layer=st.integers(0, 999), neuron=st.integers(0, 10**6))
def test_a_neuron_in_all_its_ways(layer: int, neuron: int) -> None:
    written = format_neuron(layer, neuron)
    for text in (written, written.replace("/", ""), written.lower(), f"{layer}.{neuron}", f" {layer}:{neuron} "):
        assert parse_neuron(text) == (layer, neuron)


@pytest.mark.parametrize("text", ["", "15", "L15", "15-3", "-1.2", "L1/N", "1.2.3", "L1/N2x"])
def test_what_is_no_neuron(text: str) -> None:
    with pytest.raises(Problem, match="is no neuron"):
        parse_neuron(text)


SPEC = parse_spec("evaluate", {"model": "demo", "tasks": ["sst2"]})


def test_a_fingerprint_is_spec_contents_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint("evaluate", SPEC, {"model demo": "sha256 1", "task sst2": "hub"})
    assert len(first) == 64
    assert first == fingerprint("evaluate", SPEC, {"task sst2": "hub", "model demo": "sha256 1"})
    assert first != fingerprint("evaluate", SPEC, {"model demo": "sha256 2", "task sst2": "hub"})
    other = parse_spec("evaluate", {"model": "demo", "tasks": ["sst2"], "seed": 1})
    assert first != fingerprint("evaluate", other, {"model demo": "sha256 1", "task sst2": "hub"})
    monkeypatch.setattr(fingerprints, "NUMERICS_VERSION", "next")
    assert first != fingerprint("evaluate", SPEC, {"model demo": "sha256 1", "task sst2": "hub"})


def test_contents_of_a_model_folder_are_its_weights_and_settings(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    first = contents_of(tmp_path)
    (tmp_path / "README.md").write_text("a note")
    assert contents_of(tmp_path) == first
    (tmp_path / "model.safetensors").rename(tmp_path / "other.safetensors")
    assert contents_of(tmp_path) != first
    (tmp_path / "other.safetensors").rename(tmp_path / "model.safetensors")
    assert contents_of(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"changed weights")
    assert contents_of(tmp_path) != first
    assert contents_of(tmp_path / "config.json").startswith("sha256 44136fa3")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRUNESCOPE_HOME", str(tmp_path))
    monkeypatch.setenv("PRUNESCOPE_MODEL_ROOTS", f"/one{os.pathsep}/two words")
    monkeypatch.setenv("PRUNESCOPE_ALLOWED_HOSTS", "a.example, b.example")
    settings = Settings()
    assert settings.model_roots == (Path("/one"), Path("/two words"))
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/prunescope.db"
    assert settings.resolved_artefacts_url == f"{tmp_path}/artefacts"
    monkeypatch.setenv("PRUNESCOPE_MODEL_ROOTS", '["/three"]')
    assert Settings().model_roots == (Path("/three"),)
    assert Settings(model_roots=(Path("/four"),)).model_roots == (Path("/four"),)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_short_postgresql_addresses_get_their_driver(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://me@host/db")
    assert settings.resolved_database_url == "postgresql+psycopg://me@host/db"


def test_the_private_socket_is_short_enough_for_a_socket(tmp_path: Path) -> None:
    near = Settings(home=tmp_path / "a home")
    assert near.private_redis_socket == tmp_path / "a home" / "redis.sock"
    assert near.resolved_redis_url.endswith("/a%20home/redis.sock")
    far = Settings(home=tmp_path / ("long" * 40))
    assert len(os.fsencode(far.private_redis_socket)) <= LONGEST_SOCKET_PATH
    assert far.private_redis_socket == Settings(home=tmp_path / ("long" * 40)).private_redis_socket
    assert far.private_redis_socket != Settings(home=tmp_path / ("more" * 40)).private_redis_socket


def test_problem_documents() -> None:
    document = bad_field("pattern", {"n": 5}, ["a"], "is wrong").document()
    assert document == {
        "type": "urn:prunescope:problem:bad-spec",
        "title": "The spec cannot be run",
        "status": 422,
        "detail": "pattern: is wrong",
        "code": "bad-spec",
        "errors": [{"field": "pattern", "given": "{'n': 5}", "allowed": ["a"], "message": "is wrong"}],
    }
    assert "answers" not in document
    assert not_found("job", "x").document()["status"] == 404
    assert conflict("in use").document()["detail"] == "in use"


def test_a_problem_shows_what_a_model_answered() -> None:
    answers = [AnswerToText("the food " * 100, "none"), *[AnswerToText("so bad", "")] * MAX_ANSWERS]
    shown = Problem(422, "no-influential-words", "No words", "none is left", answers=answers).document()["answers"]
    assert len(shown) == MAX_ANSWERS and shown[1] == {"text": "so bad", "answer": ""}
    assert shown[0]["answer"] == "none" and len(shown[0]["text"]) == MAX_ECHO and shown[0]["text"].endswith("…")
