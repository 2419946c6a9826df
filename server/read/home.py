"""The home page: what runs, what was made last, where to start."""

from prunescope.jobs.documents import JobKind, JobState
from prunescope.server import urls
from prunescope.server.documents import Home, Link
from prunescope.server.read.attributions import attribution_list
from prunescope.server.read.jobs import job_list
from prunescope.server.read.studies import study_list
from prunescope.server.stores import Stores

LATEST = 5


def home(stores: Stores) -> Home:
    """Studies' own jobs stand in for their cells."""
    running = job_list(stores, state=JobState.RUNNING, limit=20).items
    waiting = job_list(stores, state=JobState.QUEUED, cells=False, limit=20).items
    return Home(
        counts=stores.jobs.counts(),
        running=[*running, *waiting],
        recent=job_list(stores, cells=False, limit=LATEST).items,
        studies=study_list(stores, limit=LATEST).items,
        attributions=attribution_list(stores, limit=LATEST).items,
        start=[Link(label=str(kind).capitalize(), href=urls.new_job(kind=kind)) for kind in JobKind],
        events_href=urls.events(),
    )
