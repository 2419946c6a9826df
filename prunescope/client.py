"""A client for a running server: jobs are submitted and followed over REST, and results are fetched as documents.

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

POLL_SECONDS = 0.5
MAX_PORT = 65_535
ANSWER_SECONDS = 90.0
"""More than the server takes before it says that it is late."""
LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Hosts that are never asked through a proxy."""


class ServerError(PrunescopeError):
    """The server's answer is no result. `problem` is its problem document, empty where it sent none."""


class Refused(ServerError):
    """What was asked for has to change; `problem["errors"]` names the fields."""


class Unavailable(ServerError):
    """No server answers, or it cannot answer now."""


class JobFailed(ServerError):
    """The job failed or was cancelled; `problem` says why it failed."""

    def __init__(self, message: str, job: JobSummary) -> None:
        super().__init__(message, job.error)
        self.job = job


def connect(address: str = "http://127.0.0.1:8000") -> "Client":
    """A client of the server at `address`, over which jobs are submitted and followed, and results fetched.

    Raises ValueError for what is no address; whether a server answers there is seen with the first question.
    """
    return Client(address)


class Client:
    """The server at an address. Close it, or use it as a context, when its connections should end."""

    def __init__(self, address: str) -> None:
        """Nothing is sent yet. Raises ValueError for what is no address of a server."""
        self.address = _checked(address)
        direct: dict[str, httpx.BaseTransport | None] = {f"all://{host}": None for host in LOCAL}
        self._http = httpx.Client(base_url=self.address, mounts=direct, timeout=ANSWER_SECONDS)

    def submit(self, kind: str, spec: Mapping[str, Any], *, force: bool = False) -> "RemoteJob":
        """Submit a job; `force` runs it again even if the same job has been done.

        Raises Refused, whose problem names each wrong field, and Unavailable.
        """
        request = {"kind": kind, "spec": dict(spec), "force": force}
        answer = self._ask("POST", urls.api(urls.jobs()), request)
        return RemoteJob(self, JobItem.model_validate(answer.json()), new=answer.status_code == httpx.codes.ACCEPTED)

    def estimate(self, spec: Mapping[str, Any], *, force: bool = False) -> Estimate:
        """How much work a study is: its cells, how many are known, seconds where jobs like them have run."""
        answer = self._ask("POST", urls.study_estimate(), {"spec": dict(spec), "force": force})
        return Estimate.model_validate(answer.json())

    def job(self, id: str) -> "RemoteJob":
        """A job as it is now. Raises Refused when there is none with this id."""
        return RemoteJob(self, JobItem.model_validate(self.get(urls.job(id))))

    def get(self, page: str) -> Any:
        """The JSON document of a page: `client.get("/attributions/<id>/neurons/15/2194?example=0")`. An address that
        was copied from the browser will do."""
        path = page.removeprefix(self.address)
        return self._ask("GET", path if path.startswith(urls.API) else urls.api(path)).json()

    def share(self, page: str) -> str:
        """The address of a link that shows this page, exactly as it is, to whoever has it."""
        path = page.removeprefix(self.address)
        answer = self._ask("POST", urls.shares(), {"path": path})
        return f"{self.address}{urls.shared(answer.json()['token'])}"

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
            # What JSON does not have (NaN) is sent all the same: the server says which field holds it.
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
    """A job of a server, as it was when it was last asked about."""

    client: Client = field(repr=False)
    document: JobItem
    new: bool = False
    """Whether the submission made it; False where the same job was there already."""

    @property
    def id(self) -> str:
        return self.document.id

    @property
    def state(self) -> JobState:
        return self.document.state

    @property
    def address(self) -> str:
        """Of its page."""
        return f"{self.client.address}{self.document.href}"

    def wait(self, on_progress: Callable[[Progress], None] | None = None) -> "RemoteJob":
        """The job at its end; `on_progress` is called about twice a second. Raises JobFailed, Unavailable."""
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
            reason = (job.document.error or {}).get("detail", "no reason is known")
            raise JobFailed(f"the job failed: {reason}", job.document)
        return job

    def cancel(self) -> "RemoteJob":
        """Ask it to stop, which it does after its layer or batch; the job as it is then."""
        answer = self.client._ask("DELETE", urls.api(urls.job(self.id)))
        return RemoteJob(self.client, JobItem.model_validate(answer.json()), self.new)

    def result(self) -> Any:
        """The document of what it made: a model, an evaluation, an attribution or a study.

        Raises ValueError while there is none.
        """
        return self.client.get(self._made)

    def share(self) -> str:
        """A link to the page of what it made. Raises ValueError while there is none."""
        return self.client.share(self._made)

    @property
    def _made(self) -> str:
        """The page of what it made."""
        if self.document.result_href is None:
            raise ValueError(f"job {self.id} is {self.state} and has made nothing yet; wait() for it")
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
        raise ValueError(f"{address!r} is no address of a server: http://127.0.0.1:8000")
    return address.rstrip("/")
