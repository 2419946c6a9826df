"""All addresses of the application: ``job.route`` is the pattern for the router, ``job("ab12")`` a link.

``api(page)`` is the address of a page's document as JSON. The visible state of a page (example, scale, view, token) is
in the query string.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode

API = "/api/v1"

State = str | int | float | bool | Sequence[str] | None


class Address:
    """An address, which can be called with its parameters. ``route`` is its pattern in Starlette's syntax; links begin
    with ``prefix``, which the route's own router adds too."""

    def __init__(self, route: str, prefix: str = "") -> None:
        self.route = route
        self._template = prefix + route.replace(":path}", "}")
        self._parts: list[tuple[str, str]] = re.findall(r"{(\w+)(:path)?}", route)

    def __call__(self, *values: str | int, **state: State) -> str:
        """The link with these path parameters, in the order of the pattern, and with ``state`` as its query string."""
        parts = {
            name: _path(str(value)) if path else _part(value)
            for (name, path), value in zip(self._parts, values, strict=True)
        }
        return with_state(self._template.format_map(parts), **state)


class ModelAddress(Address):
    """An address whose first parameter is a model's reference: ``demo``, ``facebook/opt-125m``, ``pruned:ab12`` or a
    folder. ``pruned:`` is left out of the link."""

    def __call__(self, *values: str | int, **state: State) -> str:
        reference, *others = values
        return super().__call__(str(reference).removeprefix("pruned:"), *others, **state)


@lru_cache(maxsize=4096)
def _part(value: str | int) -> str:
    """A value quoted as one segment of a path; cached, since a list of evaluations repeats the same values."""
    return quote(str(value), safe="")


def _path(value: str) -> str:
    """A value that may contain slashes, quoted as several segments."""
    # The first slash of a folder's path is escaped, since some proxies merge two adjacent slashes.
    return "%2F" + quote(value[1:], safe="/@") if value.startswith("/") else quote(value, safe="/@")


def api(page: str) -> str:
    """The address of a page's JSON document: ``api("/jobs")`` is ``/api/v1/jobs``."""
    return API + page


def with_state(path: str, **state: State) -> str:
    """``path`` with ``state`` as its query string. Keys with the value None are left out; a key with several values is
    repeated."""
    if not state:
        return path
    given = {key: str(value).lower() if isinstance(value, bool) else value for key, value in state.items()}
    query = urlencode({key: value for key, value in given.items() if value is not None}, doseq=True)
    return f"{path}?{query}" if query else path


# Pages; the document of each is below API. Comments list the parameters of the query string.
home = Address("/")
search = Address("/search")  # q, attribution
glossary = Address("/glossary")
guide = Address("/guide")
guide_page = Address("/guide/{page}")
guide_picture = Address("/guide/pictures/{name}")
jobs = Address("/jobs")  # kind, state, cursor
new_job = Address("/jobs/new")  # kind, and fields of a spec (model, dense, ...) that fill in the form
job = Address("/jobs/{job}")  # neuron (L15/N2194) and variant: opened in the job's attribution
studies = Address("/studies")
study = Address("/studies/{study}")  # the fields of StudyQuery
models = Address("/models")
model = ModelAddress("/models/{model:path}")  # map = error or sparsity
evaluations = Address("/evaluations")
evaluation = Address("/evaluations/{evaluation}")
evaluation_task = Address("/evaluations/{evaluation}/{task}")  # against: the evaluation to compare with; cursor
explanations = Address("/explanations")
explanation = Address("/explanations/{explanation}")  # curve = margin or right
corpora = Address("/corpora")
corpus = Address("/corpora/{corpus}")
corpus_neuron = Address("/corpora/{corpus}/neurons/{layer}/{neuron}")
attributions = Address("/attributions")
attribution = Address("/attributions/{attribution}")
# The neurons of word, or of token of example; layer: only in this layer.
answering = Address("/attributions/{attribution}/answering")
comparisons = Address("/attributions/{attribution}/compare")
comparison = Address("/attributions/{attribution}/compare/{other}")  # top: number of top neurons in a layer (50, 5%)
# example, neurons (their number), sort, the view's parameters
layer = Address("/attributions/{attribution}/layers/{layer}")
# example, the view's parameters, embed, panels
neuron = Address("/attributions/{attribution}/neurons/{layer}/{neuron}")
# A neuron beside another one: other (L2/N354) of the attribution of (by default the same), example, variant.
beside = Address("/attributions/{attribution}/neurons/{layer}/{neuron}/beside")
shares = Address("/shares")  # cursor
# POST with own texts, or with other words of the texts, submits an attribution; the pages' forms use it too. neuron
# (L15/N2194) and variant are opened in its result.
attribution_texts = Address("/attributions/{attribution}/texts")
attribution_words = Address("/attributions/{attribution}/words")

# Only under API.
job_check = Address("/jobs/check", API)  # POST with a job that is not submitted
job_events = Address("/jobs/{job}/events", API)
job_retry = Address("/jobs/{job}/retry", API)
events = Address("/events", API)  # state and progress of all jobs, for the home page and lists
study_jobs = Address("/studies/{study}/jobs", API)  # in the order of the grid; cursor, limit
study_table = Address("/studies/{study}/table.{form}", API)  # as for the study's page
study_cells = Address("/studies/{study}/cells.csv", API)  # measure
study_retry = Address("/studies/{study}/retry", API)
study_estimate = Address("/studies/estimate", API)  # POST with a study's spec
model_download = ModelAddress("/models/{model}/download", API)
model_file = ModelAddress("/models/{model}/files/{file:path}", API)
model_matrices = ModelAddress("/models/{model:path}/matrices.csv", API)
explanation_neurons = Address("/explanations/{explanation}/neurons.csv", API)
explanation_curves = Address("/explanations/{explanation}/curves.csv", API)
neurons = Address("/attributions/{attribution}/neurons", API)  # layer, word, sort (rank or drop), cursor, limit
# The parameters of the neuron's page, and theme (light, dark); without example, the file has all examples.
heatmap = Address("/attributions/{attribution}/neurons/{layer}/{neuron}/heatmap.{form}", API)
share = Address("/shares/{token}", API)

# Neither pages nor documents.
shared = Address("/s/{token}")  # a share link
static = Address("/static/{name:path}")  # name begins with a version (see static.py)
DOCS = "/docs"
DOCS_FILE = "/docs/static/{name}"
OPENAPI = "/openapi.json"
HEALTHZ = "/healthz"
READYZ = "/readyz"

HEATMAP_FORMS = ("csv", "svg", "png", "html", "tex")
TABLE_FORMS = ("csv", "tex", "html", "json")
