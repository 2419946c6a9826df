"""A client for a running server: submits and follows jobs over REST, and fetches results as JSON documents.

client = prunescope.connect("http://127.0.0.1:8000")
job = client.submit("prune", {"model": "demo", "method": "magnitude", "pattern": "2:4"}).wait()
job.result()["sparsity"]
"""

import html
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from prunescope.errors import PrunescopeError
from prunescope.jobs.documents import Estimate, JobState, JobSummary, Progress
from prunescope.server import urls
from prunescope.server.jobs.documents import JobItem
from prunescope.server.new_job.documents import JobCheck
from prunescope.server.shares.documents import ShareDocument
from prunescope.server.site.documents import Page

POLL_SECONDS = 0.5
"""Interval at which `wait` requests a job's state."""
MAX_PORT = 65_535
ANSWER_SECONDS = 90.0
"""Timeout of a request; longer than the server's own time limit, after which it answers with an error."""
LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Hosts to which requests never go through a proxy."""


class ServerError(PrunescopeError):
    """The server answered with an error, or not at all. `problem` is its problem document; empty if it sent none."""


class Refused(ServerError):
    """The server rejected the request (status below 500). `problem["errors"]` lists the invalid fields."""


class Unavailable(ServerError):
    """No server answers, or it answered with status 500 or above."""


class JobFailed(ServerError):
    """The job `job` failed or was cancelled. `problem` is the reason of a failure."""

    def __init__(self, message: str, job: JobSummary) -> None:
        super().__init__(message, job.error)
        self.job = job


def connect(address: str = "http://127.0.0.1:8000") -> "Client":
    """Create a client of the server at `address`, with which jobs are submitted and followed, and results fetched.

    Raises ValueError for an invalid address. Nothing is sent yet, so the first request shows whether a server answers.
    """
    return Client(address)


class Client:
    """A client of the server at `address`. `close`, or the end of a `with` block, closes its connections."""

    def __init__(self, address: str) -> None:
        """Nothing is sent yet. Raises ValueError if `address` is not an http(s) URL without a query."""
        self.address = _checked(address)
        direct: dict[str, httpx.BaseTransport | None] = {f"all://{host}": None for host in LOCAL}
        self._http = httpx.Client(base_url=self.address, mounts=direct, timeout=ANSWER_SECONDS)

    def submit(self, kind: str, spec: Mapping[str, Any], *, force: bool = False) -> "RemoteJob":
        """Submit a job of `kind` (prune, evaluate, attribute or study) and return it. If an equal job exists, that job
        is returned, unless `force` is set, which runs it again.

        Raises Refused for an invalid spec, with each invalid field in its problem, and Unavailable.
        """
        request = {"kind": kind, "spec": dict(spec), "force": force}
        answer = self._ask("POST", urls.api(urls.jobs()), request)
        return RemoteJob(self, JobItem.model_validate(answer.json()), new=answer.status_code == httpx.codes.ACCEPTED)

    def check(self, kind: str, spec: Mapping[str, Any], *, force: bool = False) -> JobCheck:
        """Check a spec as `submit` would, without submitting it: its defaults, the job that has it already, its
        estimated time and memory, and the same job in other forms. Raises Refused for an invalid spec, and
        Unavailable."""
        request = {"kind": kind, "spec": dict(spec), "force": force}
        return JobCheck.model_validate(self._ask("POST", urls.job_check(), request).json())

    def estimate(self, spec: Mapping[str, Any], *, force: bool = False) -> Estimate:
        """Estimate a study's work: the number of its cells, how many have a result already, and the seconds for the
        rest, if similar jobs have run. Raises Refused for an invalid spec, and Unavailable."""
        answer = self._ask("POST", urls.study_estimate(), {"spec": dict(spec), "force": force})
        return Estimate.model_validate(answer.json())

    def job(self, id: str) -> "RemoteJob":
        """The job with this id, in its present state. Raises Refused if there is none, and Unavailable."""
        return RemoteJob(self, JobItem.model_validate(self.get(urls.job(id))))

    def get(self, page: str) -> Any:
        """The JSON document of a page: `client.get("/attributions/<id>/neurons/15/2194?example=0")`. `page` is a path
        or a URL copied from the browser. Raises Refused if there is no such page, and Unavailable."""
        path = page.removeprefix(self.address)
        return self._ask("GET", path if path.startswith(urls.API) else urls.api(path)).json()

    def share(self, page: str) -> str:
        """Create a share link for a page with its query, and return its URL, which opens the page without a login."""
        path = page.removeprefix(self.address)
        answer = self._ask("POST", urls.api(urls.shares()), {"path": path})
        return f"{self.address}{urls.shared(answer.json()['token'])}"

    def shares(self) -> list[ShareDocument]:
        """All share links that are not revoked, newest first: what each shows, when it was made and last opened, and
        whether its result was made again or removed since."""
        found: list[ShareDocument] = []
        page = Page[ShareDocument](items=[], next="")
        while page.next is not None:
            path = urls.with_state(urls.api(urls.shares()), cursor=page.next or None)
            page = Page[ShareDocument].model_validate(self._ask("GET", path).json())
            found += page.items
        return found

    def revoke(self, link: str) -> None:
        """Revoke a share link, given by its URL or its token, so that nobody can open it any more. Raises Refused if
        there is no such link."""
        self._ask("DELETE", urls.share(link.rstrip("/").rpartition("/")[2]))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"prunescope.connect({self.address!r})"

    def _ask(self, method: str, path: str, document: object = None) -> httpx.Response:
        try:
            # json.dumps writes NaN, which JSON does not have; the server's answer names the field.
            content = None if document is None else json.dumps(document)
            answer = self._http.request(method, path, content=content, headers={"content-type": "application/json"})
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(f"no server answers at {self.address} ({error})") from error
        if answer.is_success:
            return answer
        try:
            problem = answer.json()
            detail = problem["detail"]
        except (ValueError, KeyError, TypeError):
            problem, detail = {}, f"the server answered {answer.status_code}"
        raise (Refused if answer.status_code < 500 else Unavailable)(str(detail), problem)


@dataclass(frozen=True)
class RemoteJob:
    """A job of a server, in the state in which `document` was fetched. It is not updated; `wait` and `cancel` return a
    new object."""

    client: Client = field(repr=False)
    document: JobItem
    new: bool = False
    """Whether `submit` created the job; False if an equal job existed."""

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def state(self) -> JobState:
        return self.document.state

    @property
    def address(self) -> str:
        """The URL of the job's page."""
        return f"{self.client.address}{self.document.href}"

    def wait(self, on_progress: Callable[[Progress], None] | None = None) -> "RemoteJob":
        """Wait until the job ends, and return it. `on_progress` is called about twice a second. Raises JobFailed if the
        job failed or was cancelled, and Unavailable."""
        job = self
        while True:
            job = RemoteJob(self.client, self.client.job(self.id).document, self.new)
            if on_progress is not None:
                on_progress(job.document.progress)
            if job.state.ended:
                break
            time.sleep(POLL_SECONDS)
        if job.state == JobState.CANCELLED:
            raise JobFailed("the job was cancelled", job.document)
        if job.state == JobState.FAILED:
            reason = (job.document.error or {}).get("detail", "the reason is unknown")
            raise JobFailed(f"the job failed: {reason}", job.document)
        return job

    def cancel(self) -> "RemoteJob":
        """Request the job's cancellation and return the job. A running job stops after the present layer or batch; a
        job that has ended does not change. Raises Unavailable."""
        answer = self.client._ask("DELETE", urls.api(urls.job(self.id)))
        return RemoteJob(self.client, JobItem.model_validate(answer.json()), self.new)

    def result(self) -> Any:
        """The JSON document of the job's result: a model, an evaluation, an attribution or a study.

        Raises ValueError if the job has no result yet; Refused and Unavailable as `Client.get`.
        """
        return self.client.get(self._result_page)

    def share(self) -> str:
        """Create a share link for the page of the job's result, and return its URL. Raises ValueError if the job has no
        result yet."""
        return self.client.share(self._result_page)

    @property
    def _result_page(self) -> str:
        """The path of the page of the job's result. Raises ValueError if it has none yet."""
        if self.document.result_href is None:
            raise ValueError(f"job {self.id} is {self.state} and has no result yet; wait() for it")
        return self.document.result_href

    def _repr_html_(self) -> str:
        address, title = html.escape(self.address), html.escape(self.document.title)
        return f'<a href="{address}">{title}</a>: {self.state}'


def _checked(address: str) -> str:
    try:
        url = httpx.URL(address.rstrip("/"))
        usable = url.scheme in ("http", "https") and bool(url.host) and (url.port or 1) <= MAX_PORT
        usable = usable and not url.query and not url.fragment
    except (httpx.InvalidURL, ValueError, UnicodeError):
        usable = False
    if not usable:
        raise ValueError(f"{address!r} is not the address of a server, such as http://127.0.0.1:8000")
    return address.rstrip("/")
