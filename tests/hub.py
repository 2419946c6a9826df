"""A real HTTP server that speaks as much of the Hugging Face hub as its client and the datasets library ask for."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789" * 4


class Hub:
    """Repositories by name, those of data sets as `datasets/owner/name`: a folder, or the error code of the answer."""

    def __init__(self) -> None:
        self.repositories: dict[str, Path | str] = {}
        self.asked: list[str] = []
        self.address = ""


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port, until the block ends."""
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
            parts = self.path.partition("?")[0].strip("/").split("/")
            about = parts[0] == "api"
            if about:
                parts = parts[2:] if parts[1] == "models" else parts[1:]
            length = 3 if parts[0] == "datasets" else 2
            name, rest = "/".join(parts[:length]), parts[length:]
            found = state.repositories.get(name, "RepoNotFound")
            if isinstance(found, str) or "missing" in rest:
                code = found if isinstance(found, str) else "RevisionNotFound"
                self.reply(403 if code == "GatedRepo" else 404, b"{}", body, {"X-Error-Code": code})
            elif about and "tree" in rest:
                self.tree(found, "/".join(rest[rest.index("tree") + 2 :]), body)
            elif about:
                siblings = [{"rfilename": str(path.relative_to(found))} for path in files(found)]
                document = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []}
                self.reply(200, json.dumps(document).encode(), body, {"Content-Type": "application/json"})
            elif not (found / "/".join(rest[2:])).is_file():
                self.reply(404, b"{}", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            else:
                content = (found / "/".join(rest[2:])).read_bytes()
                etag = sha256(content).hexdigest()
                self.reply(200, content, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

        def tree(self, repository: Path, below: str, body: bool) -> None:
            paths = sorted((repository / below).iterdir())
            tree = [
                {
                    "type": "directory" if path.is_dir() else "file",
                    "path": str(path.relative_to(repository)),
                    "size": path.lstat().st_size,
                    "oid": "0" * 40,
                }
                for path in paths
            ]
            self.reply(200, json.dumps(tree).encode(), body, {"Content-Type": "application/json"})

        def reply(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def files(repository: Path) -> list[Path]:
    """Every file and link below a folder."""
    return sorted(path for path in repository.rglob("*") if not path.is_dir())
