"""Links that tell whether the result that they show is still the same.

The button "Copy link" adds the parameter ``digest`` to a page's address, and a share link stores it: the digest of the
results that the page shows (`Results.digests`). A page that is opened with another digest than the present one shows a
notice, and the error page of a result that does not exist says whether it was removed.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from fastapi import Request

from prunescope.jobs.documents import JobSummary
from prunescope.jobs.problems import Problem, cut
from prunescope.server import urls
from prunescope.server.stores import Stores, stores_of
from prunescope.store.artefacts.records import DIGEST_DIGITS

DIGEST = "digest"
"""Name of the query parameter."""
REMOVED = "removed"
"""Code of the Problem of a result that was removed."""
MAX_SHOWN = 60
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS}}}")
_ID = re.compile(r"[0-9a-f]{16}")
_KINDS = {
    "attributions": "attribution",
    "corpora": "corpus",
    "evaluations": "evaluation",
    "explanations": "explanation",
    "models": "model",
    "studies": "study",
}
"""First segment of a page's path -> kind of the records that it shows."""


class Result(NamedTuple):
    """A stored result that a page shows: kind and id of its record."""

    kind: str
    id: str


def results_of(address: str) -> tuple[Result, ...]:
    """The results that the page at ``address`` (a path, with its query if it has one) shows, by its address alone; they
    may not exist. Two for a comparison, none for a list, a job or a model that was not pruned here."""
    path, _, query = address.partition("?")
    found: tuple[Result, ...]
    match unquote(path).strip("/").split("/"):
        case ["attributions", first, "compare", second]:
            found = (Result("attribution", first), Result("attribution", second))
        case ["evaluations", first, _] if against := parse_qs(query).get("against"):
            found = (Result("evaluation", first), Result("evaluation", against[0]))
        case [section, first, *_] if section in _KINDS:
            found = (Result(_KINDS[section], first),)
        case _:
            return ()
    return found if all(_ID.fullmatch(result.id) for result in found) else ()


def asked_results(request: Request) -> tuple[Result, ...]:
    """The results that the page of a request shows."""
    return results_of(f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}")


def digests_of(stores: Stores, pages: Sequence[tuple[Result, ...]]) -> list[str | None]:
    """The digest of each page's results; None for a page without results, or if one of them does not exist. Takes one
    query for each kind of result."""
    ids: dict[str, set[str]] = defaultdict(set)
    for kind, id in (result for results in pages for result in results):
        ids[kind].add(id)
    known = {Result(kind, id): digest for kind in ids for id, digest in stores.results.digests(kind, ids[kind]).items()}
    return [_joined([known.get(result) for result in results]) for results in pages]


def digest_of(stores: Stores, results: tuple[Result, ...]) -> str | None:
    """The digest of one page's results; None without results, or if one of them does not exist."""
    return digests_of(stores, [results])[0]


def _joined(digests: Sequence[str | None]) -> str | None:
    given = [digest for digest in digests if digest is not None]
    if not given or len(given) < len(digests):
        return None
    return given[0] if len(given) == 1 else hashlib.sha256(" ".join(given).encode()).hexdigest()[:DIGEST_DIGITS]


def notice_of(request: Request, results: tuple[Result, ...], given: str) -> str | None:
    """The notice of a page that was opened by a link with the digest ``given``; None if nothing changed."""
    if not _DIGEST.fullmatch(given):
        allowed = f"the {DIGEST_DIGITS} hexadecimal digits of a copied link"
        return f"{DIGEST}: {cut(given, MAX_SHOWN)!r} is no digest of a result; allowed: {allowed}. It was left out."
    if digest_of(stores_of(request), results) in {given, None}:
        return None
    what = f"This {results[0].kind} was" if len(results) == 1 else f"One of these {results[0].kind}s was"
    return f"{what} made again after the link was made, so the numbers may differ from those that the link showed."


class Removed(Problem):
    """Status 404: a result that existed was removed. ``job`` has made it; None if that job is not known."""

    def __init__(self, result: Result, job: JobSummary | None) -> None:
        made = f"; job {job.id} has made it, and its spec can be run again" if job else " after this link was made"
        detail = f"{result.kind} '{result.id}' was removed{made}"
        super().__init__(404, REMOVED, f"This {result.kind} was removed", detail)
        self.job = job


def removed(request: Request, problem: Problem) -> Problem:
    """``problem`` unchanged, or `Removed` in its place: if the address is that of a result that does not exist now,
    and either a job has made it or the link has its digest. Reads the database."""
    path = str(request.scope["path"]).removeprefix(urls.API)
    results = results_of(path)
    if problem.status != 404 or not results:
        return problem
    stores = stores_of(request)
    for result in results:
        if not stores.results.exists(*result):
            job = stores.jobs.maker_of(result.id)
            if job is not None or _DIGEST.fullmatch(link_digest(request) or ""):
                return Removed(result, job)
    return problem


def link_digest(request: Request) -> str | None:
    """The digest of the link by which a page was opened: that of the share link, or the query parameter; None if the
    link has none."""
    if "shared_from" in request.scope:
        digest: str | None = request.scope.get("shared_digest")
        return digest
    return request.query_params.get(DIGEST)
