"""Static files: the project's css and js, Plotly's script, the API page and its assets, of installed packages.

A file is read once and kept with its compressed form, so that Plotly's 4.8 MB are not compressed again for every
page. The answer carries an ETag of the content; an address that names the content's version may be kept for ever, any
other is asked for again each time and mostly answered with 304.

The project's own files have one version together, and it stands in the path (``/static/<version>/js/site/page.js``): a
module's relative imports then lead to addresses of the same version, so that a browser runs each module once. A
version in the query would not do: ``import "./page.js"`` drops it, and page.js would run twice. For files that import
nothing (Plotly's script, the API page's assets) the version may stand in the query (``?v=``).
"""

import gzip
import hashlib
import mimetypes
import re
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
SMALLEST_COMPRESSED = 1024
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
    """A data file of an installed package, found without importing the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


def read_static(path: Path) -> StaticFile:
    """The file with its compressed form and version; read anew when it has changed on the disk."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, _modified: int, _size: int) -> StaticFile:
    body = path.read_bytes()
    guessed = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    text = guessed.startswith("text/") or guessed.endswith(("+xml", "json"))
    compressed = gzip.compress(body, 6, mtime=0) if text and len(body) >= SMALLEST_COMPRESSED else None
    media_type = f"{guessed}; charset=utf-8" if text else guessed
    return StaticFile(body, compressed, media_type, hashlib.sha256(body).hexdigest()[:VERSION_DIGITS])


def folder_version(folder: Path) -> str:
    """One version of all files below ``folder``: another one when any of them is changed, added or removed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _version_of(folder, tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(maxsize=8)
def _version_of(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _modified, _size in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {read_static(path).version}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]


def static_response(request: Request, path: Path, *, kept: bool = False) -> Response:
    """The file's answer: 304 when the browser has it, compressed when it may be.

    ``kept``: the address names the present version, so a browser need never ask for it again.
    """
    file = read_static(path)
    etag = f'"{file.version}"'
    kept = kept or request.query_params.get("v") == file.version
    headers = {
        "etag": etag,
        "cache-control": "public, max-age=31536000, immutable" if kept else "no-cache",
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
    """``folder/name`` when that is a file below ``folder``; 404 for anything else, also for ways out of the folder."""
    path = (folder / name).resolve()
    there = isfile(path)  # noqa: PTH113 - not Path.is_file, which raises for a name that is too long
    if not path.is_relative_to(folder.resolve()) or not there or path.suffix in {".py", ".pyc", ".html"}:
        raise Problem(404, "not-found", "Not found", f"there is no file {name[:200]!r}")
    return path


@router.get(urls.PLOTLY)
def plotly(request: Request) -> Response:
    return static_response(request, wheel_file("plotly", "package_data", "plotly.min.js"))


@router.get(urls.static.route)
def static(request: Request, name: str) -> Response:
    version, _, rest = name.partition("/")
    if not VERSION.fullmatch(version):
        return static_response(request, file_below(STATIC, name))
    # A page that was opened before an update asks for its own version: it gets the present file, not for keeping.
    return static_response(request, file_below(STATIC, rest), kept=version == folder_version(STATIC))


@router.get(urls.DOCS_FILE)
def docs_file(request: Request, name: str) -> Response:
    folder = ASSETS if name == "api.js" else wheel_file("fastapi_swagger", "resources")
    return static_response(request, file_below(folder, name))


@router.get(urls.DOCS)
def docs() -> FileResponse:
    return FileResponse(ASSETS / "api.html", media_type="text/html; charset=utf-8")
