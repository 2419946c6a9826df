"""`prunescope submit`: sends a job or a study from a YAML file to a running server."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prunescope.cli.documents import read_yaml
from prunescope.cli.errors import one_line
from prunescope.cli.progress import Display
from prunescope.cli.up import address_of
from prunescope.cli.wording import work
from prunescope.client import Client, JobFailed, Refused, RemoteJob, Unavailable
from prunescope.errors import Failure, Refusal
from prunescope.inputs import check_readable
from prunescope.jobs.bounds import MAX_BODY_BYTES
from prunescope.jobs.documents import JobKind
from prunescope.jobs.problems import Problem, unknown_name
from prunescope.jobs.settings import Settings
from prunescope.jobs.shape import check_shape


def run(settings: Settings, file: Path, *, server: str | None, wait: bool, force: bool, dry_run: bool) -> None:
    """Submit the request in `file` and print the job's address. With `wait`, display its progress until it ends, and
    print its result. For a study, first print an estimate of the work; with `dry_run`, only the estimate is printed.

    Raises:
        Refusal: the file is invalid, the server rejects the request, or the job failed because of its input.
        Failure: no server answers, or the job failed for another reason or was cancelled.
    """
    request = {**read_request(file), "force": force}
    if dry_run and request["kind"] != JobKind.STUDY:
        raise Refusal(f"{file}: --dry-run estimates the work of a study, but kind {request['kind']} is a single job")
    with _client(server or address_of(settings)) as client, _errors_converted():
        if request["kind"] == JobKind.STUDY:
            estimate = client.estimate(request["spec"], force=force)
            print(work(estimate), file=sys.stdout if dry_run else sys.stderr, flush=True)
            if dry_run:
                return
        job = client.submit(request["kind"], request["spec"], force=force)
        print(f"{job.address}{'' if job.new else f' (known already: {job.state})'}", flush=True)
        if wait:
            _follow(job)


def _client(server: str) -> Client:
    try:
        return Client(server)
    except ValueError as error:
        raise Refusal(f"--server {error}") from None


@contextlib.contextmanager
def _errors_converted() -> Iterator[None]:
    """Context manager: convert exceptions of the client to Refusal or Failure, which determine the exit code."""
    try:
        yield
    except Refused as error:
        raise Refusal(one_line(str(error))) from None
    except JobFailed as error:
        bad_input = error.job.error is not None and error.job.error.get("status", 500) < 500
        raise (Refusal if bad_input else Failure)(one_line(str(error))) from None
    except Unavailable as error:
        remedy = "" if error.problem else "; start one with `prunescope up`, or name it with --server"
        raise Failure(f"{one_line(str(error))}{remedy}") from None


def read_request(file: Path) -> dict[str, Any]:
    """Read a request `{"kind": ..., "spec": ...}` from a YAML file. The file has either these two keys, or the kind as
    its only key and the spec as its value.

    Raises:
        Refusal: the file does not exist, is not YAML, exceeds the maximum size of a request, or has other keys.
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


def _follow(job: RemoteJob) -> None:
    with Display() as display:
        ended = job.wait(display.show)
    for what, name in (ended.document.result or {}).items():
        print(f"{what}: {name}")
