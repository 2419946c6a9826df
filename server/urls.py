"""Every address of the application: routes are built from the templates, links from the functions.

A page and its JSON document are sisters: ``api(page)`` is the address of the same document as JSON. State that a
person can see (example, scale, view, token) lives in the query string, so every function that makes the address of a
page takes it as keyword arguments; those that are None are left out.
"""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode

API = "/api/v1"

# Pages; each has its document under API.
HOME = "/"
JOBS = "/jobs"
NEW_JOB = "/jobs/new"
JOB = "/jobs/{job}"
STUDIES = "/studies"
STUDY = "/studies/{study}"
STUDY_JOBS = "/studies/{study}/jobs"  # only under API
MODELS = "/models"
MODEL = "/models/{model:path}"  # a hub id has a slash in it
EVALUATIONS = "/evaluations"
EVALUATION = "/evaluations/{evaluation}"
EVALUATION_TASK = "/evaluations/{evaluation}/{task}"
ATTRIBUTIONS = "/attributions"
ATTRIBUTION = "/attributions/{attribution}"
ANSWERING = "/attributions/{attribution}/answering"
COMPARISONS = "/attributions/{attribution}/compare"
COMPARISON = "/attributions/{attribution}/compare/{other}"
LAYER = "/attributions/{attribution}/layers/{layer}"
TEXTS = "/attributions/{attribution}/texts"
NEURON = "/attributions/{attribution}/neurons/{layer}/{neuron}"
SEARCH = "/search"

# Only under API.
STUDY_ESTIMATE = "/studies/estimate"
STUDY_TABLE = "/studies/{study}/table.{form}"
STUDY_CELLS = "/studies/{study}/cells.csv"
STUDY_RETRY = "/studies/{study}/retry"
JOB_EVENTS = "/jobs/{job}/events"
JOB_RETRY = "/jobs/{job}/retry"
EVENTS = "/events"
NEURONS = "/attributions/{attribution}/neurons"
WORDS = "/attributions/{attribution}/words"  # a page's form is sent there too
HEATMAP = "/attributions/{attribution}/neurons/{layer}/{neuron}/heatmap.{form}"
MODEL_DOWNLOAD = "/models/{model}/download"
MODEL_FILE = "/models/{model}/files/{file:path}"
MODEL_MATRICES = "/models/{model:path}/matrices.csv"
SHARES = "/shares"
SHARE = "/shares/{token}"

# Neither pages nor documents.
SHARED = "/s/{token}"
STATIC = "/static"
PLOTLY = "/static/plotly.min.js"
DOCS = "/docs"
DOCS_STATIC = "/docs/static"
OPENAPI = "/openapi.json"
HEALTHZ = "/healthz"
READYZ = "/readyz"

HEATMAP_FORMS = ("csv", "svg", "png", "html")
TABLE_FORMS = ("csv", "tex", "html", "json")

State = str | int | float | bool | Sequence[str] | None


def api(page: str) -> str:
    """The address of a page's JSON document: ``api("/jobs")`` is ``/api/v1/jobs``."""
    return API + page


@lru_cache(maxsize=4096)
def _part(name: str) -> str:
    """A name as one part of a path. A list of evaluations has thousands of the same ones."""
    return quote(name, safe="")


def with_state(path: str, **state: State) -> str:
    """``path`` with ``state`` as its query string; keys whose value is None are left out, one with several values
    stands there several times."""
    if not state:
        return path
    given = {key: str(value).lower() if isinstance(value, bool) else value for key, value in state.items()}
    query = urlencode({key: value for key, value in given.items() if value is not None}, doseq=True)
    return f"{path}?{query}" if query else path


def home() -> str:
    return HOME


def jobs(**state: State) -> str:
    """The job list; ``kind``, ``state`` and ``cursor`` choose what it shows."""
    return with_state(JOBS, **state)


def new_job(**state: State) -> str:
    """The form; ``kind`` and a spec's fields (``model``, ``dense``, ...) fill it in."""
    return with_state(NEW_JOB, **state)


def job(job: str, **state: State) -> str:
    """One job; ``neuron`` (L15/N2194) and ``variant`` say what of its attribution to open."""
    return with_state(JOB.format(job=_part(job)), **state)


def job_events(job: str) -> str:
    return api(JOB_EVENTS.format(job=_part(job)))


def job_retry(job: str) -> str:
    return api(JOB_RETRY.format(job=_part(job)))


def events() -> str:
    """Every job's state and progress in one stream, for the home page and for lists."""
    return api(EVENTS)


def studies(**state: State) -> str:
    return with_state(STUDIES, **state)


def study(study: str, **state: State) -> str:
    """One study; the state is that of a `StudyQuery`."""
    return with_state(STUDY.format(study=_part(study)), **state)


def study_jobs(study: str, **state: State) -> str:
    """A study's jobs in the order of its plan; ``cursor`` and ``limit``."""
    return with_state(api(STUDY_JOBS.format(study=_part(study))), **state)


def study_table(study: str, form: str, **state: State) -> str:
    """A study's table as a file: ``form`` is csv, tex, html or json, the rest as for the study's page."""
    return with_state(api(STUDY_TABLE.format(study=_part(study), form=form)), **state)


def study_cells(study: str, **state: State) -> str:
    """All measurements of a study as CSV; ``measure`` says which."""
    return with_state(api(STUDY_CELLS.format(study=_part(study))), **state)


def study_retry(study: str) -> str:
    """Where all failed and cancelled cells of a study are tried again (POST)."""
    return api(STUDY_RETRY.format(study=_part(study)))


def study_estimate() -> str:
    """Where a study's spec is sent (POST) to learn how much work it is."""
    return api(STUDY_ESTIMATE)


def models(**state: State) -> str:
    return with_state(MODELS, **state)


def model(reference: str, **state: State) -> str:
    """A model by reference: ``demo``, ``facebook/opt-125m``, ``pruned:ab12`` or a folder; ``map`` = error or
    sparsity."""
    name = reference.removeprefix("pruned:")
    # The first slash of a folder's path is escaped: two slashes in a row are lost on the way through some proxies.
    path = "%2F" + quote(name[1:], safe="/@") if name.startswith("/") else quote(name, safe="/@")
    return with_state(f"{MODELS}/{path}", **state)


def model_download(reference: str) -> str:
    return api(MODEL_DOWNLOAD.format(model=quote(reference.removeprefix("pruned:"), safe="")))


def model_file(reference: str, file: str) -> str:
    """One file of a pruned model."""
    return api(f"{MODELS}/{quote(reference.removeprefix('pruned:'), safe='')}/files/{quote(file)}")


def model_matrices(reference: str) -> str:
    """A pruned model's matrices as CSV."""
    return api(model(reference)) + MODEL_MATRICES.removeprefix(MODEL)


def evaluations(**state: State) -> str:
    return with_state(EVALUATIONS, **state)


def evaluation(evaluation: str) -> str:
    return EVALUATION.format(evaluation=_part(evaluation))


def evaluation_task(evaluation: str, task: str, **state: State) -> str:
    """One task's examples; ``against`` names the evaluation to compare with, ``cursor`` the place in the list."""
    return with_state(EVALUATION_TASK.format(evaluation=_part(evaluation), task=_part(task)), **state)


def attributions(**state: State) -> str:
    return with_state(ATTRIBUTIONS, **state)


def attribution(attribution: str, **state: State) -> str:
    return with_state(ATTRIBUTION.format(attribution=_part(attribution)), **state)


def answering(attribution: str, **state: State) -> str:
    """Which neurons answer to ``word``, or to ``token`` of ``example``; ``layer``: in one layer."""
    return with_state(ANSWERING.format(attribution=_part(attribution)), **state)


def comparisons(attribution: str) -> str:
    """What an attribution can be compared with."""
    return COMPARISONS.format(attribution=_part(attribution))


def comparison(attribution: str, other: str, **state: State) -> str:
    """Two attributions side by side; ``top``: how many neurons of a layer count as its best (``50``, ``5%``)."""
    path = COMPARISON.format(attribution=_part(attribution), other=_part(other))
    return with_state(path, **state)


def layer(attribution: str, layer: int, **state: State) -> str:
    """Neurons x tokens of one layer; ``example``, ``neurons`` (how many), ``sort`` and the view's own state."""
    return with_state(LAYER.format(attribution=_part(attribution), layer=layer), **state)


def neuron(attribution: str, layer: int, neuron: int, **state: State) -> str:
    """One neuron; ``example`` and the view's own state (scale, token, ...)."""
    return with_state(NEURON.format(attribution=_part(attribution), layer=layer, neuron=neuron), **state)


def attribution_texts(attribution: str, **state: State) -> str:
    """An attribution's texts; a text of one's own is sent (POST) there. ``neuron`` (L15/N2194) and ``variant`` are what
    to go on with in the attribution that comes of it."""
    return with_state(TEXTS.format(attribution=_part(attribution)), **state)


def attribution_words(attribution: str, **state: State) -> str:
    """Where other words of an attribution's texts are sent (POST); ``neuron`` and ``variant`` as for its texts."""
    return with_state(WORDS.format(attribution=_part(attribution)), **state)


def neurons(attribution: str, **state: State) -> str:
    """The list of neurons (JSON only); ``layer``, ``word``, ``sort`` = rank or drop, ``cursor``, ``limit``."""
    return with_state(api(NEURONS.format(attribution=_part(attribution))), **state)


def heatmap(attribution: str, layer: int, neuron: int, form: str, **state: State) -> str:
    """A neuron as a file: ``form`` is csv, svg, png or html; the state is that of the neuron's page, and ``theme``
    (light, dark); without ``example`` all examples are in it."""
    path = HEATMAP.format(attribution=_part(attribution), layer=layer, neuron=neuron, form=form)
    return with_state(api(path), **state)


def search(query: str | None = None, **state: State) -> str:
    return with_state(SEARCH, q=query, **state)


def shares() -> str:
    return api(SHARES)


def share(token: str) -> str:
    """The address that revokes a share (DELETE)."""
    return api(SHARE.format(token=_part(token)))


def shared(token: str) -> str:
    """The link that is sent to somebody else."""
    return SHARED.format(token=_part(token))


def static(name: str, version: str) -> str:
    """A file of ``frontend/static``: ``static("css/prunescope.css", version)``. The version stands before the name, so
    that what a module imports relatively has it too."""
    return f"{STATIC}/{_part(version)}/{quote(name)}"
