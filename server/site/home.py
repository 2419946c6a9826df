"""The home page: what runs, what was made last, where to start."""

from prunescope.jobs.documents import JobKind, JobState
from prunescope.server import urls
from prunescope.server.attributions.queries import attribution_list
from prunescope.server.jobs.queries import job_list
from prunescope.server.site.documents import Link
from prunescope.server.site.home_documents import Home
from prunescope.server.stores import Stores
from prunescope.server.studies.queries import study_list

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
