"""Every address of the application, defined once: ``job.route`` is what the router matches, ``job("ab12")`` a link.

A page and its JSON document are sisters: ``api(page)`` is the address of the same document as JSON. State that a
person can see (example, scale, view, token) lives in the query string.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode

API = "/api/v1"

State = str | int | float | bool | Sequence[str] | None


class Address:
    """An address. ``route`` is its template as Starlette writes it; ``prefix`` stands before it in links, where the
    router of the route adds it too."""

    def __init__(self, route: str, prefix: str = "") -> None:
        self.route = route
        self._template = prefix + route.replace(":path}", "}")
        self._parts: list[tuple[str, str]] = re.findall(r"{(\w+)(:path)?}", route)

    def __call__(self, *values: str | int, **state: State) -> str:
        """The address with its parts in their order, and with ``state`` as its query string."""
        parts = {
            name: _path(str(value)) if path else _part(value)
            for (name, path), value in zip(self._parts, values, strict=True)
        }
        return with_state(self._template.format_map(parts), **state)


class ModelAddress(Address):
    """An address of a model, whose first part is a reference: ``demo``, ``facebook/opt-125m``, ``pruned:ab12`` or a
    folder."""

    def __call__(self, *values: str | int, **state: State) -> str:
        reference, *others = values
        return super().__call__(str(reference).removeprefix("pruned:"), *others, **state)


@lru_cache(maxsize=4096)
def _part(value: str | int) -> str:
    """A value as one part of a path. A list of evaluations has thousands of the same ones."""
    return quote(str(value), safe="")


def _path(value: str) -> str:
    """A value that may have slashes in it."""
    # The first slash of a folder's path is escaped: two slashes in a row are lost on the way through some proxies.
    return "%2F" + quote(value[1:], safe="/@") if value.startswith("/") else quote(value, safe="/@")


def api(page: str) -> str:
    """The address of a page's JSON document: ``api("/jobs")`` is ``/api/v1/jobs``."""
    return API + page


def with_state(path: str, **state: State) -> str:
    """``path`` with ``state`` as its query string; keys whose value is None are left out, one with several values
    stands there several times."""
    if not state:
        return path
    given = {key: str(value).lower() if isinstance(value, bool) else value for key, value in state.items()}
    query = urlencode({key: value for key, value in given.items() if value is not None}, doseq=True)
    return f"{path}?{query}" if query else path


# Pages; each has its document under API. In comments: the state.
home = Address("/")
search = Address("/search")  # q, attribution
jobs = Address("/jobs")  # kind, state, cursor
new_job = Address("/jobs/new")  # kind and a spec's fields (model, dense, ...), which fill in the form
job = Address("/jobs/{job}")  # neuron (L15/N2194) and variant: what of its attribution to open
studies = Address("/studies")
study = Address("/studies/{study}")  # that of a StudyQuery
models = Address("/models")
model = ModelAddress("/models/{model:path}")  # map = error or sparsity
evaluations = Address("/evaluations")
evaluation = Address("/evaluations/{evaluation}")
evaluation_task = Address("/evaluations/{evaluation}/{task}")  # against: the evaluation to compare with; cursor
attributions = Address("/attributions")
attribution = Address("/attributions/{attribution}")
# Which neurons answer to word, or to token of example; layer: in one layer.
answering = Address("/attributions/{attribution}/answering")
comparisons = Address("/attributions/{attribution}/compare")
comparison = Address("/attributions/{attribution}/compare/{other}")  # top: how many of a layer are its best (50, 5%)
layer = Address("/attributions/{attribution}/layers/{layer}")  # example, neurons (how many), sort and the view's own
neuron = Address("/attributions/{attribution}/neurons/{layer}/{neuron}")  # example and the view's own
# A text of one's own and other words of the texts are sent (POST) to these two, from the page's forms as well. neuron
# (L15/N2194) and variant are what to go on with in the attribution that comes of it.
attribution_texts = Address("/attributions/{attribution}/texts")
attribution_words = Address("/attributions/{attribution}/words")

# Only under API.
job_events = Address("/jobs/{job}/events", API)
job_retry = Address("/jobs/{job}/retry", API)
events = Address("/events", API)  # every job's state and progress in one stream, for the home page and for lists
study_jobs = Address("/studies/{study}/jobs", API)  # in the order of its plan; cursor, limit
study_table = Address("/studies/{study}/table.{form}", API)  # as for the study's page
study_cells = Address("/studies/{study}/cells.csv", API)  # measure
study_retry = Address("/studies/{study}/retry", API)
study_estimate = Address("/studies/estimate", API)  # a study's spec is sent (POST) there
model_download = ModelAddress("/models/{model}/download", API)
model_file = ModelAddress("/models/{model}/files/{file:path}", API)
model_matrices = ModelAddress("/models/{model:path}/matrices.csv", API)
neurons = Address("/attributions/{attribution}/neurons", API)  # layer, word, sort = rank or drop, cursor, limit
# The state is that of the neuron's page, and theme (light, dark); without example all examples are in it.
heatmap = Address("/attributions/{attribution}/neurons/{layer}/{neuron}/heatmap.{form}", API)
shares = Address("/shares", API)
share = Address("/shares/{token}", API)

# Neither pages nor documents.
shared = Address("/s/{token}")  # the link that is sent to somebody else
static = Address("/static/{name:path}")  # name begins with a version, so that what a module imports relatively has it
PLOTLY = "/static/plotly.min.js"
DOCS = "/docs"
DOCS_FILE = "/docs/static/{name}"
OPENAPI = "/openapi.json"
HEALTHZ = "/healthz"
READYZ = "/readyz"

HEATMAP_FORMS = ("csv", "svg", "png", "html")
TABLE_FORMS = ("csv", "tex", "html", "json")
