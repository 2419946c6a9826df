"""`prunescope submit`: a job or a study from a YAML file to a running server."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from prunescope.cli.documents import read_yaml
from prunescope.cli.errors import Failure, Refusal, one_line
from prunescope.cli.inputs import check_readable
from prunescope.cli.progress import Display
from prunescope.cli.up import address_of
from prunescope.cli.wording import work
from prunescope.jobs.bounds import MAX_BODY_BYTES
from prunescope.jobs.documents import Estimate, JobKind, JobState, JobSummary
from prunescope.jobs.problems import Problem, unknown_name
from prunescope.jobs.settings import Settings
from prunescope.jobs.shape import check_shape
from prunescope.server import urls

POLL_SECONDS = 0.5
MAX_PORT = 65_535
ANSWER_SECONDS = 90.0
"""More than the server takes before it says that it is late."""


def run(settings: Settings, file: Path, *, server: str | None, wait: bool, force: bool, dry_run: bool) -> None:
    """Send the request of `file`, say where its job is, and with `wait` follow it to its end. Of a study first how much
    work it is; with `dry_run` that is all, and nothing is sent.

    Raises:
        Refusal: the file cannot be read, the server refuses what it asks for, or the job failed for such a reason.
        Failure: no server answers, or the job failed or was cancelled.
    """
    request = {**read_request(file), "force": force}
    if dry_run and request["kind"] != JobKind.STUDY:
        raise Refusal(f"{file}: --dry-run tells how much work a study is; kind {request['kind']} is one job")
    address = _checked_address(server or address_of(settings))
    # A server on this machine is never asked through a proxy.
    direct: dict[str, httpx.BaseTransport | None] = {
        "all://127.0.0.1": None,
        "all://localhost": None,
        "all://[::1]": None,
    }
    with httpx.Client(base_url=address, mounts=direct, timeout=ANSWER_SECONDS) as client:
        if request["kind"] == JobKind.STUDY:
            study = {"spec": request["spec"], "force": force}
            estimate = Estimate.model_validate(_ask(client, "POST", urls.study_estimate(), study).json())
            print(work(estimate), file=sys.stdout if dry_run else sys.stderr, flush=True)
            if dry_run:
                return
        answer = _ask(client, "POST", urls.api(urls.jobs()), request)
        job = JobSummary.model_validate(answer.json())
        known = "" if answer.status_code == httpx.codes.ACCEPTED else f" (known already: {job.state})"
        print(f"{address}{urls.job(job.id)}{known}", flush=True)
        if wait:
            _follow(client, job)


def _checked_address(server: str) -> str:
    address = server.rstrip("/")
    try:
        url = httpx.URL(address)
        usable = url.scheme in ("http", "https") and bool(url.host) and (url.port or 1) <= MAX_PORT
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise Refusal(f"--server {server!r} is no address of a server: http://127.0.0.1:8000")
    return address


def read_request(file: Path) -> dict[str, Any]:
    """`{"kind", "spec"}` of a YAML file, written as `kind: ... spec: ...` or as one key that names the kind.

    Raises:
        Refusal: there is no such file, it is no YAML, it is larger than a request may be, or it has another form.
    """
    check_readable(file, "FILE")
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            raise Refusal(f"{file} is too large: a request may carry {MAX_BODY_BYTES // 2**20} MiB")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    document = read_yaml(text, str(file))
    try:
        check_shape(document)
    except Problem as problem:
        raise Refusal(f"{file}: {problem}") from None
    kinds = [str(kind) for kind in JobKind]
    match document:
        case {"kind": str(kind), "spec": dict(spec), **rest} if not rest:
            pass
        case dict() if len(document) == 1 and isinstance(spec := next(iter(document.values())), dict):
            kind = str(next(iter(document)))
        case _:
            raise Refusal(f"{file}: a job has 'kind' ({', '.join(kinds)}) and 'spec', and nothing else; see studies/")
    if kind not in kinds:
        raise Refusal(f"{file}: kind {unknown_name(kind, kinds)}")
    return {"kind": kind, "spec": spec}


def _follow(client: httpx.Client, job: JobSummary) -> None:
    with Display() as display:
        for current in _states(client, job.id):
            job = current
            display.show(job.progress)
    match job.state:
        case JobState.SUCCEEDED:
            for what, name in (job.result or {}).items():
                print(f"{what}: {name}")
        case JobState.CANCELLED:
            raise Failure("the job was cancelled")
        case _:
            problem = job.error or {}
            text = f"the job failed: {problem.get('detail', 'no reason is known')}"
            raise (Refusal if problem.get("status", 500) < 500 else Failure)(text)


def _states(client: httpx.Client, job_id: str) -> Iterator[JobSummary]:
    while True:
        job = JobSummary.model_validate(_ask(client, "GET", urls.api(urls.job(job_id))).json())
        yield job
        if job.state.ended:
            return
        time.sleep(POLL_SECONDS)


def _ask(client: httpx.Client, method: str, path: str, document: object = None) -> httpx.Response:
    try:
        # What JSON does not have (NaN) is sent all the same: the server says which field holds it.
        content = None if document is None else json.dumps(document)
        answer = client.request(method, path, content=content, headers={"content-type": "application/json"})
    except (httpx.HTTPError, OSError) as error:
        raise Failure(
            f"no server answers at {client.base_url} ({one_line(str(error))}); start one with `prunescope up`, "
            "or name it with --server"
        ) from None
    if answer.is_success:
        return answer
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered {answer.status_code}"
    raise (Refusal if answer.status_code < 500 else Failure)(one_line(str(detail)))
