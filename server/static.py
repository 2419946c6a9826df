"""Static files: the project's css and js, Plotly's script, the API page, and Swagger UI of an installed package.

Files are cached in memory together with their compressed form, since Plotly's script has 1.2 MB. Each response has an
ETag of the content. If the address contains the current version, browsers cache the response for ever; otherwise they
revalidate it each time.

All files of the project have one common version, which is part of the path (``/static/<version>/js/site/page.js``), so
that a module's relative imports lead to the same version and a browser runs each module once. Relative imports would
drop a version in the query (``?v=``), which is therefore used only for files without imports (Plotly's script, the
API page's assets).
"""

import gzip
import hashlib
import mimetypes
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from os.path import isfile
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from prunescope.frontend import STATIC
from prunescope.jobs.problems import Problem
from prunescope.server import urls

router = APIRouter(include_in_schema=False)

ASSETS = Path(__file__).parent / "assets"
PLOTLY = "vendor/plotly-basic.min.js"
"""The file in the folder of static files; docs/dependencies.md has its version."""
MIN_COMPRESSED_BYTES = 1024
VERSION_DIGITS = 16
VERSION = re.compile(rf"[0-9a-f]{{{VERSION_DIGITS}}}")
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}


@dataclass(frozen=True)
class StaticFile:
    body: bytes
    compressed: bytes | None
    media_type: str
    version: str


def wheel_file(package: str, *parts: str) -> Path:
    """The path of a data file of an installed package, which is not imported. Raises FileNotFoundError."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


def read_static(path: Path) -> StaticFile:
    """A file with its compressed form and version, cached until it changes on the disk."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, _modified: int, _size: int) -> StaticFile:
    body = path.read_bytes()
    guessed = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    text = guessed.startswith("text/") or guessed.endswith(("+xml", "json"))
    compressed = gzip.compress(body, 6, mtime=0) if text and len(body) >= MIN_COMPRESSED_BYTES else None
    media_type = f"{guessed}; charset=utf-8" if text else guessed
    return StaticFile(body, compressed, media_type, hashlib.sha256(body).hexdigest()[:VERSION_DIGITS])


def folder_version(folder: Path) -> str:
    """A version of all files below ``folder``, which changes when any of them is changed, added or removed."""
    return _version_of(folder, tuple(sorted(_stats(str(folder)))))


def _stats(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, time of change and size of every file below a folder. Every page asks, so no `Path` is made."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _stats(entry.path)
            else:
                stat = entry.stat()
                yield entry.path, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def _version_of(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _modified, _size in files:
        name = Path(path).relative_to(folder).as_posix()
        digest.update(f"{name} {read_static(Path(path)).version}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]


def static_response(request: Request, path: Path, *, immutable: bool = False) -> Response:
    """The response with a file, compressed if the browser accepts that, or 304 if the browser has the file.

    ``immutable``: the path contains the current version, so the browser may cache the response for ever.
    """
    file = read_static(path)
    etag = f'"{file.version}"'
    immutable = immutable or request.query_params.get("v") == file.version
    headers = {
        "etag": etag,
        "cache-control": "public, max-age=31536000, immutable" if immutable else "no-cache",
        "vary": "accept-encoding",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = file.body
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = file.compressed
        headers["content-encoding"] = "gzip"
    elif file.compressed is not None:
        headers["content-encoding"] = "identity"
    return Response(body, media_type=file.media_type, headers=headers)


def file_below(folder: Path, name: str) -> Path:
    """The path ``folder/name``. Raises Problem 404 unless it is a file below ``folder`` after following ``..``."""
    path = (folder / name).resolve()
    there = isfile(path)  # noqa: PTH113 - Path.is_file raises if the name is too long
    if not path.is_relative_to(folder.resolve()) or not there or path.suffix in {".py", ".pyc", ".html"}:
        raise Problem(404, "not-found", "Not found", f"there is no file {name[:200]!r}")
    return path


def plotly_address() -> str:
    """The address of Plotly's script with a version of its own, so that browsers cache it for ever, also when other
    files change."""
    return urls.with_state(urls.static(PLOTLY), v=read_static(STATIC / PLOTLY).version)


@router.get(urls.static.route)
def static(request: Request, name: str) -> Response:
    version, _, rest = name.partition("/")
    if not VERSION.fullmatch(version):
        return static_response(request, file_below(STATIC, name))
    # A page opened before an update requests its old version and receives the current file, not to be cached.
    return static_response(request, file_below(STATIC, rest), immutable=version == folder_version(STATIC))


@router.get(urls.DOCS_FILE)
def docs_file(request: Request, name: str) -> Response:
    folder = ASSETS if name in {"api.js", "api.css"} else wheel_file("fastapi_swagger", "resources")
    return static_response(request, file_below(folder, name))


@router.get(urls.DOCS)
def docs() -> FileResponse:
    return FileResponse(ASSETS / "api.html", media_type="text/html; charset=utf-8")
