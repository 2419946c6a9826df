"""The application as a whole: it starts without torch, answers machines, and describes itself without the internet."""

import gzip
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from prunescope.frontend import STATIC
from prunescope.jobs.settings import Settings
from prunescope.server.app import create_app
from prunescope.server.static import folder_version, plotly_address

ROOT = Path(__file__).parents[2]


def test_the_server_starts_without_torch_and_the_numerics(tmp_path: Path) -> None:
    code = (
        "import sys; from prunescope.server.app import create_app; from prunescope.jobs.settings import Settings;"
        f"create_app(Settings(home={str(tmp_path)!r})).openapi();"
        "known = {'.'.join(name.split('.')[: 1 + name.startswith('prunescope.')]) for name in sys.modules};"
        "numerics = {f'prunescope.{name}' for name in ('lm', 'pruning', 'nsa', 'evaluation', 'worker')};"
        "print('prunescope.server' in known, *sorted(known & {'torch', 'transformers', 'lm_eval', *numerics}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_machines_learn_whether_the_parts_answer(client: TestClient, settings: Settings) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "redis": "ok", "artefacts": "ok"}


def test_without_redis_the_server_is_up_but_not_ready(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path, redis_url=f"unix://{tmp_path}/nothing.sock"))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["checks"] == {"database": "ok", "redis": "cannot be reached", "artefacts": "ok"}
        accepted = client.post(
            "/api/v1/jobs", json={"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
        )
        assert accepted.status_code == 202
        assert accepted.json()["state"] == "queued"


def test_the_api_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "style=" not in page.text
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(files) == 5
    for file in files:
        assert client.get(file).status_code == 200, file
    assert "//" not in "".join(files)


def test_openapi_shows_how_to_submit_each_kind_and_what_a_problem_is(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    submit = document["paths"]["/api/v1/jobs"]["post"]
    examples = submit["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {"prune", "evaluate", "attribute", "explain", "corpus", "study"}
    assert "application/problem+json" in submit["responses"]["422"]["content"]
    assert {"type", "title", "status", "detail", "errors"} <= set(
        document["components"]["schemas"]["Problem"]["properties"]
    )
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            assert about.get("summary"), f"{method} {path} has no summary"
            wrong = about["responses"].get("422", {}).get("content", {})
            assert "application/json" not in wrong, f"{method} {path} describes another error than it sends"


@pytest.mark.parametrize("kind", ["prune", "evaluate", "study"])
def test_an_example_can_be_submitted_as_it_is(client: TestClient, kind: str) -> None:
    document = client.get("/openapi.json").json()
    submit = document["paths"]["/api/v1/jobs"]["post"]
    example = submit["requestBody"]["content"]["application/json"]["examples"][kind]["value"]
    answer = client.post("/api/v1/jobs", json=example)
    assert answer.status_code == 202, answer.text


def test_files_come_compressed_with_a_version_and_not_twice(client: TestClient) -> None:
    answer = client.get("/static/vendor/plotly-basic.min.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "no-cache"
    assert len(gzip.compress(answer.content, 1)) < len(answer.content)
    etag = answer.headers["etag"]
    assert client.get("/static/vendor/plotly-basic.min.js", headers={"if-none-match": etag}).status_code == 304
    versioned = client.get(f"/static/vendor/plotly-basic.min.js?v={etag.strip(chr(34))}")
    assert "immutable" in versioned.headers["cache-control"]
    assert str(versioned.url).endswith(plotly_address()), "pages use the versioned address"


def test_the_charts_script_is_small_and_the_one_that_is_documented(client: TestClient) -> None:
    with client.stream("GET", plotly_address(), headers={"accept-encoding": "gzip"}) as answer:
        assert sum(map(len, answer.iter_raw())) < 500_000, "bytes over the network"
    script = (STATIC / "vendor" / "plotly-basic.min.js").read_bytes()
    digest = hashlib.sha256(script).hexdigest()
    version = re.search(rb"plotly.js \(basic - minified\) v([\d.]+)", script)
    assert version is not None
    assert f"| {version[1].decode()} | `{digest}` |" in (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert (STATIC / "vendor" / "plotly-basic.LICENSE.txt").is_file()


def test_files_of_the_front_end_have_one_version_in_their_path(client: TestClient) -> None:
    page = client.get("/", headers={"accept": "text/html"}).text
    (version,) = set(re.findall(r"/static/([^/]+)/(?:js|css)/", page))
    assert "immutable" in client.get(f"/static/{version}/js/site/page.js").headers["cache-control"]
    assert client.get("/static/js/site/page.js").headers["cache-control"] == "no-cache"
    # After an update a page that is still open gets the present file, and does not keep it as its own version's.
    old = client.get(f"/static/{'0' * len(version)}/js/site/page.js")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
    assert client.get(f"/static/{version}/js/none.js").status_code == 404
    assert client.get(f"/static/{version}/../../__init__.py").status_code == 404


def test_the_version_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    versions = [folder_version(tmp_path)]
    (tmp_path / "js" / "a.js").write_text("22")
    versions.append(folder_version(tmp_path))
    (tmp_path / "b.css").write_text("")
    versions.append(folder_version(tmp_path))
    (tmp_path / "b.css").rename(tmp_path / "c.css")
    versions.append(folder_version(tmp_path))
    assert len(set(versions)) == 4
    assert folder_version(tmp_path) == versions[-1]


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../server/app.py", "/static/%2e%2e/__init__.py", "/static/", "/docs/static/../app.py"),
        *("/static/no.js", "x" * 3000),
    ],
)
def test_only_files_of_the_front_end_are_served(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404
    assert client.get(f"/docs/static/{path}").status_code == 404


def test_what_does_not_exist_is_a_problem_and_for_browsers_a_page(client: TestClient) -> None:
    answer = client.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == "/nothing/here"
    page = client.get("/nothing/here", headers={"accept": "text/html,*/*"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    document = client.get("/api/v1/nothing", headers={"accept": "text/html,*/*"})
    assert document.headers["content-type"] == "application/problem+json"
    wrong = client.put("/api/v1/jobs", json={})
    assert wrong.status_code == 405
    assert wrong.headers["content-type"] == "application/problem+json"
    assert "GET" in wrong.headers["allow"]


def test_a_crash_tells_nothing_about_the_inside(app: FastAPI, client: TestClient) -> None:
    def crash() -> None:
        raise RuntimeError("the password is swordfish")

    app.add_api_route("/crash", crash)
    for accept in ("*/*", "text/html"):
        answer = client.get("/crash", headers={"accept": accept})
        assert answer.status_code == 500
        assert "swordfish" not in answer.text
        assert "RuntimeError" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/crash").json()["code"] == "internal"


def test_text_that_is_not_json_is_a_problem(client: TestClient) -> None:
    answer = client.post("/api/v1/jobs", content=b"{not json", headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body"
