"""The hub's client against a real HTTP server that speaks as much of the hub as is needed."""

import json
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub.constants
import pytest
import torch

from lm.errors import BadData, ModelNotFound, NoSafetensors
from lm.hub import dataset_rows
from lm.loading import load
from tests.models import tiny_folder

NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens
COMMIT = "0123456789" * 4


class Hub:
    """Repositories by name: a folder, or the error code that the hub answers with."""

    def __init__(self) -> None:
        self.repositories: dict[str, Path | str] = {}
        self.asked: list[str] = []


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE say, which the client reads once, when it is imported."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            state.asked.append(self.path)
            parts = self.path.strip("/").split("/")
            name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
            found = state.repositories.get(name, "RepoNotFound")
            if isinstance(found, str) or "missing" in parts:
                code = found if isinstance(found, str) else "RevisionNotFound"
                self.reply(403 if code == "GatedRepo" else 404, b"{}", body, {"X-Error-Code": code})
            elif parts[0] == "api" and "tree" in parts:
                tree = [
                    {"type": "file", "path": path.name, "size": path.lstat().st_size, "oid": "0" * 40}
                    for path in sorted(found.iterdir())
                ]
                self.reply(200, json.dumps(tree).encode(), body, {"Content-Type": "application/json"})
            elif parts[0] == "api":
                siblings = [{"rfilename": path.name} for path in sorted(found.iterdir())]
                document = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []}
                self.reply(200, json.dumps(document).encode(), body, {"Content-Type": "application/json"})
            elif not (found / parts[-1]).is_file():
                self.reply(404, b"{}", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            else:
                content = (found / parts[-1]).read_bytes()
                etag = sha256(content).hexdigest()
                self.reply(200, content, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

        def reply(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    point_to(f"http://127.0.0.1:{server.server_port}", monkeypatch, tmp_path)
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_network(monkeypatch, tmp_path) -> None:
    point_to(NOBODY, monkeypatch, tmp_path)


def test_a_model_is_fetched_without_its_other_files(hub, tmp_path, monkeypatch):
    folder = tiny_folder(tmp_path / "there")
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    (folder / "code.py").write_text("not wanted")
    hub.repositories["someone/small"] = folder
    lm = load("someone/small@main")
    assert lm.reference == "someone/small@main" and lm.dtype == torch.float32 and lm.tokenizer is not None
    assert not any("not wanted" in path or ".bin" in path or ".py" in path for path in hub.asked)
    # Fetched once, it is found again without a network.
    point_to(NOBODY, monkeypatch, tmp_path)
    assert load("someone/small").dtype == torch.float32


def test_what_the_hub_refuses(hub, tmp_path):
    folder = tiny_folder(tmp_path / "there")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    hub.repositories |= {"someone/old": folder, "someone/gated": "GatedRepo"}
    with pytest.raises(NoSafetensors, match=r"someone/old has no model\.safetensors \(it has pytorch_model\.bin\)"):
        load("someone/old")
    with pytest.raises(ModelNotFound, match=r"gated.*HF_TOKEN"):
        load("someone/gated")
    with pytest.raises(ModelNotFound, match="no such model on the hub"):
        load("someone/nowhere")
    with pytest.raises(ModelNotFound, match="no revision 'missing'"):
        load("someone/old@missing")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(NoSafetensors, match="no weights at all"):
        load("someone/old")


def test_a_download_that_breaks_off(hub, tmp_path):
    folder = tiny_folder(tmp_path / "there")
    (folder / "broken.json").symlink_to(tmp_path / "gone")  # listed, but not to be had
    hub.repositories["someone/broken"] = folder
    with pytest.raises(ModelNotFound, match="broke off"):
        load("someone/broken")


@pytest.mark.usefixtures("no_network")
def test_no_network_is_said_at_once_with_a_way_out():
    with pytest.raises(ModelNotFound, match=r"facebook/opt-125m: .*hub cannot be reached.*local folder or 'demo'"):
        load("facebook/opt-125m")


@pytest.mark.usefixtures("no_network")
def test_a_data_set_without_network():
    with pytest.raises(BadData, match=r"someone/texts cannot be read.*: use demo"):
        list(dataset_rows("someone/texts", None, "train", mend="use demo"))
